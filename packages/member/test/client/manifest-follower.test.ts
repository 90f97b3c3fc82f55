import { BLOCK_BYTES } from "@holdfast/environment";
import type { SegmentRef } from "@holdfast/segment";
import { BlockError, BlockRef, KEY_BYTES } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { ManifestFollower } from "../../src/client/manifest-follower.ts";
import { Command, ManifestReply } from "../../src/protocol.ts";
import { ServerWorld, type TestServer } from "../world/server-world.ts";

function segment(id: bigint): SegmentRef {
  return {
    extent: { start: 100_000n + 100n * id, lengthBlocks: 10 },
    id,
    footer: { address: 100_009n + 100n * id, seq: 1n, hash: new Uint8Array(16) },
    level: 0,
    order: 0n,
    first: new Uint8Array(KEY_BYTES).fill(1),
    last: new Uint8Array(KEY_BYTES).fill(2),
    itemCount: 1,
    tombstoneCount: 0,
    seqMax: 1n,
    writer: 1n,
  };
}

function add(server: TestServer, id: bigint): Promise<void> {
  return server.committer.mutate(async (trees) => {
    await trees.manifest.add(segment(id));
    trees.amend({ manifestVersion: trees.state.manifestVersion + 1n });
  });
}

/** A follower of a server that counts its questions, and may answer an older one. */
async function fixture(): Promise<{
  world: ServerWorld;
  server: TestServer;
  follower: ManifestFollower;
  answers: Uint8Array[];
  asked: number[];
}> {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  const answers: Uint8Array[] = [];
  const asked: number[] = [];
  const link = {
    request: async (command: number): Promise<Uint8Array> => {
      asked.push(command);
      return answers.shift() ?? answerOf(server);
    },
  };
  return { world, server, follower: new ManifestFollower(world.device, world.fsid, link), answers, asked };
}

function answerOf({ committer }: TestServer): Uint8Array {
  const { manifestVersion, manifestRoot } = committer.committed;
  return ManifestReply.encode({ version: manifestVersion, root: BlockRef.encode(manifestRoot) });
}

test("before it has asked, a member knows the empty manifest of no version", async () => {
  const { follower } = await fixture();

  expect(follower.current.version).toBe(0n);
  expect(follower.current.view.segmentCount).toBe(0);
});

test("a refresh brings the committed manifest; another one without news reads nothing", async () => {
  const { world, server, follower, asked } = await fixture();
  await add(server, 1n);
  await add(server, 2n);
  await follower.refresh();
  const { current } = follower;
  expect([current.version, current.view.segmentCount]).toEqual([3n, 2]);
  world.device.onRead = () => {
    throw new Error("nothing is to be read");
  };

  await follower.refresh();

  expect(follower.current).toBe(current);
  expect(asked).toEqual([Command.manifest, Command.manifest]);
});

test("everybody who waits for one version shares one look", async () => {
  const { server, follower, asked } = await fixture();
  await add(server, 1n);

  await Promise.all(Array.from({ length: 20 }, () => follower.reach(2n)));
  await follower.reach(1n);

  expect(asked.length).toBe(1);
});

test("F5: a root whose blocks were used again while it was read is replaced by the newest one", async () => {
  const { world, server, follower, answers } = await fixture();
  await add(server, 1n);
  const stale = answerOf(server);
  const old = server.committer.committed.manifestRoot.address;
  await add(server, 2n);
  world.device.block(old).set(world.device.block(server.committer.committed.freeRoot.address));
  answers.push(stale);

  await follower.refresh();

  expect(follower.current.version).toBe(3n);
});

test("the same root twice that cannot be read is damage", async () => {
  const { world, server, follower, asked } = await fixture();
  await add(server, 1n);
  world.device.damage(server.committer.committed.manifestRoot.address);

  await expect(follower.refresh()).rejects.toBeInstanceOf(BlockError);

  expect(asked.length).toBe(2);
  expect(follower.current.version).toBe(0n);
});

test("a device that cannot be read at all is not asked again, and a later look may succeed", async () => {
  const { world, server, follower, asked } = await fixture();
  await add(server, 1n);
  world.device.onRead = () => {
    throw new Error("bad sector");
  };
  await expect(follower.refresh()).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_READ" });
  expect(asked.length).toBe(1);

  world.device.onRead = () => {};
  await follower.refresh();

  expect(follower.current.version).toBe(2n);
});

test("the manifest of a volume of many segments is the one that the server has", async () => {
  const { server, follower } = await fixture();
  await server.committer.mutate(async (trees) => {
    for (let id = 1n; id <= 60n; id += 1n) await trees.manifest.add(segment(id));
    trees.amend({ manifestVersion: 9n });
  });

  await follower.reach(9n);

  const wanted = await server.trees.manifest.view();
  expect(follower.current.view.levels).toEqual(wanted.levels);
  expect(server.committer.committed.manifestRoot.address).toBeGreaterThan(0n);
  expect(BLOCK_BYTES).toBe(4096);
});
