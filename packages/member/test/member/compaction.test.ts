import { DeviceError, MIB } from "@holdfast/environment";
import { expect, test } from "vitest";
import type { Member } from "../../src/index.ts";
import { MemberWorld, textOf } from "../world/member-world.ts";

const SMALL = { storeLimits: { memtableBytesMax: 16 * 1024 } };

test("a long import: level 0 stays bounded, deeper levels fill, and every item is there", async () => {
  const world = await MemberWorld.format({ sizeBytes: 128 * MIB });
  const members = [await world.open(SMALL), await world.open(SMALL)];
  const writers = await Promise.all(members.map(({ member }) => member.dataset()));
  const most = { levelZero: 0 };
  const value = "v".repeat(400);

  for (let round = 0; round < 28; round += 1) {
    const batches = writers.map((data, writer) =>
      data.batch(
        Array.from({ length: 50 }, (_, index) => ({
          key: keyOf(writer, (round * 131 + index) % 900),
          value,
        })),
      ),
    );
    await world.finish(Promise.all(batches));
    const { levels } = await world.finish((members[0] ?? unknown()).member.status());
    most.levelZero = Math.max(most.levelZero, levels[0] ?? 0);
  }

  expect(most.levelZero).toBeGreaterThan(1);
  expect(most.levelZero).toBeLessThanOrEqual(12 + members.length);
  const status = await world.finish((members[1] ?? unknown()).member.status());
  expect(status.levels.length).toBeGreaterThan(1);
  const seen = await count(world, members[1] ?? unknown());
  expect(seen).toBe(await count(world, members[0] ?? unknown()));
  expect(textOf(await world.finish((writers[0] ?? unknown()).get(keyOf(1, 131))))).toBe(value);
  const before = await world.finish((members[0] ?? unknown()).member.status());
  await world.close(...members.toReversed());
  expect(before.quarantinedBlocks).toBeLessThan(256n);
});

test("a worker that dies in the middle of a merge costs its blocks until it is confirmed dead, and nothing else", async () => {
  const world = await MemberWorld.format({ sizeBytes: 128 * MIB });
  const server = await world.open({ ...SMALL, compactorLimits: { jobsPerMember: 1, levelZeroMax: 12 } });
  const worker = await world.open(SMALL);
  const data = await server.member.dataset();
  const isMerging = { now: false };
  world.device.onWrite = ({ bytes }) => {
    // Data blocks of a merge are large writes of the worker, which writes nothing itself.
    if (isMerging.now && bytes.length > 64 * 1024 && !worker.host.isDead) worker.host.kill();
  };
  isMerging.now = true;

  for (let round = 0; round < 30; round += 1)
    await world.finish(
      data.batch(
        Array.from({ length: 50 }, (_, index) => ({
          key: keyOf(0, (round * 37 + index) % 500),
          value: "v".repeat(400),
        })),
      ),
    );
  await world.clock.advance(10_000);

  expect(worker.host.isDead).toBe(true);
  const status = await world.finish(server.member.status());
  expect(status.levels[0] ?? 0).toBeLessThanOrEqual(13);
  expect(status.levels.length).toBeGreaterThan(1);
  expect(await count(world, server)).toBe(500);
});

test("without a worker that can merge writers go on, and what they wrote stays readable", async () => {
  const world = await MemberWorld.format({ sizeBytes: 128 * MIB });
  const server = await world.open({ ...SMALL, compactorLimits: { jobsPerMember: 0, levelZeroMax: 3 } });
  const other = await world.open(SMALL);
  const [a, b] = [await server.member.dataset(), await other.member.dataset()];

  for (let round = 0; round < 12; round += 1) {
    await world.finish(a.put("shared", String(round)));
    await world.finish(
      b.batch(Array.from({ length: 60 }, (_, index) => ({ key: keyOf(1, index), value: "v".repeat(400) }))),
    );
    expect(textOf(await world.finish(b.get("shared")))).toBe(String(round));
  }

  const status = await world.finish(server.member.status());
  expect(status.levels.length).toBe(1);
  expect(status.levels[0]).toBeGreaterThan(3);
});

test("merges that fail give their blocks back, and rest before they are tried again", async () => {
  const world = await MemberWorld.format({ sizeBytes: 128 * MIB });
  const server = await world.open(SMALL);
  const data = await server.member.dataset();
  const { freeBlocks } = await world.finish(server.member.status());
  const reads = { areRefused: true };
  const read = server.host.device.read.bind(server.host.device);
  Object.assign(server.host.device, {
    read: (offset: bigint, into: Uint8Array) =>
      // The stream of a merge reads a segment in large pieces.
      reads.areRefused && into.length > 32 * 1024
        ? Promise.reject(refusal(offset, into.length))
        : read(offset, into),
  });
  for (let round = 0; round < 8; round += 1)
    await world.finish(
      data.batch(
        Array.from({ length: 60 }, (_, index) => ({ key: keyOf(0, index), value: "v".repeat(400) })),
      ),
    );
  await world.clock.advance(2000);

  const failures = server.host.events.filter((event) => event === "compaction.failed").length;
  const status = await world.finish(server.member.status());
  expect(failures).toBeGreaterThan(0);
  expect(failures).toBeLessThan(12);
  expect(status.levels.length).toBe(1);
  expect(status.quarantinedBlocks).toBeLessThan(256n);
  expect(freeBlocks - status.freeBlocks).toBeLessThan(3000n);
  reads.areRefused = false;
  await world.clock.advance(10_000);
  expect((await world.finish(server.member.status())).levels.length).toBeGreaterThan(1);
  expect(await count(world, server)).toBe(60);
});

function keyOf(writer: number, index: number): string {
  return `${writer}-${String(index).padStart(5, "0")}`;
}

async function count(world: MemberWorld, { member }: { readonly member: Member }): Promise<number> {
  let items = 0;
  const data = await member.dataset();
  const scan = (async (): Promise<void> => {
    for await (const page of data.pages()) items += page.length;
  })();
  await world.finish(scan);
  return items;
}

function refusal(offsetBytes: bigint, lengthBytes: number): DeviceError {
  const facts = { device: "memory:test", offsetBytes, lengthBytes };
  return new DeviceError("ERR_HOLDFAST_DEVICE_READ", "bad path", facts);
}

function unknown(): never {
  throw new Error("there is no such member");
}
