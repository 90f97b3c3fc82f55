import { type Deferred, deferred } from "@holdfast/environment";
import { DeposedError, readNewestRecord } from "@holdfast/quorum";
import { expect, test } from "vitest";
import { ORPHANS_MAX, VolumeState } from "../../src/index.ts";
import { ServerWorld, type TestServer } from "../world/server-world.ts";

const STOPPED = new Error("stopped");

/** Takes blocks for a member and remembers that, as many requests do. */
function take(server: TestServer, rid: bigint, blocks: number): Promise<bigint> {
  return server.committer.mutate(async (trees) => {
    const extent = await trees.take(blocks, "a test");
    await trees.members.grant(rid, extent);
    return extent.start;
  });
}

async function recorded(world: ServerWorld): Promise<VolumeState> {
  const { device, clock } = world;
  const record = await readNewestRecord(world.region, { device, clock });
  return VolumeState.decode(record?.payload ?? new Uint8Array(0));
}

test("a change is answered when a record holds it, and not before", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  const gate = holdRecords(world);
  let isAnswered = false;

  const answer = take(server, 1n, 10).then(() => {
    isAnswered = true;
  });
  await world.clock.advance(0);
  expect([isAnswered, gate.held.length]).toEqual([false, 1]);
  expect(server.committer.committed.membersRoot.address).toBe(0n);

  gate.open();
  await answer;

  const state = await recorded(world);
  expect(state).toEqual(server.committer.committed);
  const trees = world.treesOf(2n, 9n, state);
  expect(await trees.members.grants(1n)).toHaveLength(1);
});

test("everything that was asked for while a record was in flight goes into the next one, together", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  const gate = holdRecords(world);
  const first = take(server, 1n, 1);
  await world.clock.advance(0);
  const others = Array.from({ length: 50 }, (_, index) => take(server, BigInt(index + 2), 1));
  gate.open();

  const starts = await Promise.all([first, ...others]);

  expect(new Set(starts).size).toBe(51);
  expect(server.committer.commits).toBe(2);
});

test("a change that fails is undone and fails alone", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  const before = server.trees.free.freeBlocks;

  const outcomes = await Promise.allSettled([
    take(server, 1n, 10),
    server.committer.mutate(async (trees) => {
      await trees.take(1000, "a test");
      await trees.members.grant(1n, { start: 5n, lengthBlocks: 5 });
      trees.amend({ nextJob: 99n });
      throw new RangeError("no");
    }),
    take(server, 1n, 20),
  ]);

  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(outcomes[1]).toMatchObject({ reason: new RangeError("no") });
  const grants = await server.trees.members.grants(1n);
  expect(grants.map(({ lengthBlocks }) => lengthBlocks)).toEqual([10, 20]);
  expect(server.committer.committed.nextJob).toBe(1n);
  expect(before - server.trees.free.freeBlocks).toBeGreaterThanOrEqual(30);
  expect(before - server.trees.free.freeBlocks).toBeLessThan(1000);
  await server.trees.free.verify();
});

test("a state that no record can hold is undone with the change that made it, and the reign goes on", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  const orphan = { start: 1n, lengthBlocks: 1, owner: 1n, term: 1n, isDrained: false };

  const outcome = server.committer.mutate(async (trees) => {
    trees.amend({ orphans: Array.from({ length: ORPHANS_MAX + 1 }, () => orphan) });
  });

  await expect(outcome).rejects.toBeInstanceOf(RangeError);
  expect(server.trees.state.orphans).toEqual([]);
  await expect(take(server, 1n, 1)).resolves.toBeGreaterThan(0n);
  expect(server.fatal).toEqual([]);
});

test("a change of more nodes than blocks are granted is undone and fails alone", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);

  const outcome = server.committer.mutate(async (trees) => {
    for (let rid = 0n; rid < 3000n; rid += 1n)
      await trees.members.keepResult(rid, 1n, 0n, new Uint8Array(500));
  });

  await expect(outcome).rejects.toMatchObject({ code: "ERR_HOLDFAST_NO_SPACE" });
  expect(await server.trees.members.result(5n, 1n)).toBeUndefined();
  await expect(take(server, 1n, 1)).resolves.toBeGreaterThan(0n);
  expect(server.fatal).toEqual([]);
});

test("a device that refuses the record ends the role: nobody is answered, now or later", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  refuseRecords(world);

  const outcomes = await Promise.allSettled([take(server, 1n, 1), take(server, 2n, 1)]);

  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(server.fatal).toMatchObject([{ code: "ERR_HOLDFAST_RECORD_WRITE" }]);
  world.device.onWrite = () => {};
  await expect(take(server, 3n, 1)).rejects.toMatchObject({ code: "ERR_HOLDFAST_RECORD_WRITE" });
  expect(server.fatal).toHaveLength(1);
  expect((await recorded(world)).membersRoot.address).toBe(0n);
});

test("a device that refuses a node ends the role before any record names it", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  const before = await recorded(world);
  world.device.onWrite = ({ block }) => {
    if (block >= world.layout.dataBlock && block < world.layout.quorum.recordsCopyBlock)
      throw new Error("bad");
  };

  await expect(take(server, 1n, 1)).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_WRITE" });

  expect(server.fatal).toHaveLength(1);
  expect(await recorded(world)).toEqual(before);
});

test("a server that was superseded answers nobody", async () => {
  const world = await ServerWorld.format();
  const old = await world.serve(1n);
  await take(old, 1n, 5);
  await world.serve(2n);

  await expect(take(old, 1n, 5)).rejects.toBeInstanceOf(DeposedError);

  expect(old.fatal).toHaveLength(1);
  await expect(old.committer.mutate(() => Promise.resolve(1))).rejects.toBeInstanceOf(DeposedError);
});

test("even a change that changes nothing is answered by a server that is not superseded only", async () => {
  const world = await ServerWorld.format();
  const old = await world.serve(1n);
  const { commits } = old.committer;
  await old.committer.mutate(() => Promise.resolve());
  expect(old.committer.commits).toBe(commits);
  await world.elect(2n);

  await expect(old.committer.mutate(() => Promise.resolve())).rejects.toBeInstanceOf(DeposedError);
});

test("a committer that was stopped makes no change", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  server.committer.stop(STOPPED);
  server.committer.stop(new Error("too late"));

  await expect(take(server, 1n, 1)).rejects.toBe(STOPPED);

  expect(server.fatal).toEqual([]);
});

test("readers see what is not committed yet, and no change in the middle", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  const half = deferred<void>();
  const change = server.committer.mutate(async (trees) => {
    trees.amend({ nextJob: 50n });
    await half.promise;
    trees.amend({ nextJob: 51n });
  });
  const seen = server.committer.read((trees) => Promise.resolve(trees.state.nextJob));
  half.resolve();
  await change;

  expect(await seen).toBe(51n);
});

test("thousands of changes, and the last record alone brings all of them back", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  await server.committer.mutate((trees) => trees.settle());
  for (let round = 0; round < 20; round += 1) {
    await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        server.committer.mutate((trees) =>
          trees.members.keepResult(BigInt(index), BigInt(round + 1), 0n, new Uint8Array(100).fill(round)),
        ),
      ),
    );
  }

  const trees = world.treesOf(2n, 9n, await recorded(world));

  for (let index = 0; index < 100; index += 9)
    for (let round = 0; round < 20; round += 3)
      expect((await trees.members.result(BigInt(index), BigInt(round + 1)))?.[99]).toBe(round);
  await trees.free.verify();
  expect(server.committer.committed.metadataGrants.length).toBeGreaterThan(1);
});

test("a server that resigns publishes no address and gives its unused blocks back", async () => {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  await server.committer.mutate((trees) => trees.settle());
  const granted = blocksOf(server.committer.committed);

  await server.committer.resign(STOPPED);

  const { device, clock } = world;
  const record = await readNewestRecord(world.region, { device, clock });
  const state = VolumeState.decode(record?.payload ?? new Uint8Array(0));
  expect([record?.address, state.isResigned]).toEqual(["", true]);
  expect(blocksOf(state)).toBeLessThan(granted / 2);
  await expect(take(server, 1n, 1)).rejects.toBe(STOPPED);
  const next = await world.serve(2n);
  await next.committer.mutate((trees) => trees.settle());
  await next.trees.free.verify();
  expect(next.committer.committed.isResigned).toBe(false);
});

function blocksOf({ metadataGrants }: VolumeState): number {
  return metadataGrants.reduce((sum, { lengthBlocks }) => sum + lengthBlocks, 0);
}

function isRecord(world: ServerWorld, block: bigint): boolean {
  const { recordsBlock, termsMax } = world.layout.quorum;
  return block >= recordsBlock && block < recordsBlock + 2n * BigInt(termsMax);
}

function refuseRecords(world: ServerWorld): void {
  world.device.onWrite = ({ block }) => {
    if (isRecord(world, block)) throw new Error("bad");
  };
}

/** Keeps the device from finishing writes of records until it is opened. */
function holdRecords(world: ServerWorld): { readonly held: Deferred<void>[]; open(): void } {
  const { device } = world;
  const held: Deferred<void>[] = [];
  let isOpen = false;
  const write = device.write.bind(device);
  device.write = async (offset, bytes, options) => {
    if (!isOpen && isRecord(world, offset / 4096n)) {
      const gate = deferred<void>();
      held.push(gate);
      await gate.promise;
    }
    await write(offset, bytes, options);
  };
  return {
    held,
    open() {
      isOpen = true;
      for (const gate of held) gate.resolve();
    },
  };
}
