import { MEMBER_GRANT_BLOCKS_MAX, SERVER_GRANT_BLOCKS_MAX } from "@holdfast/alloc-extent";
import { MIB } from "@holdfast/environment";
import { expect, test } from "vitest";
import { layoutFor } from "../../../src/index.ts";
import type { LastWord } from "../../../src/server/requests.ts";
import { sizesFor } from "../../../src/volume/sizes.ts";
import { FencingRig, processOf } from "../../world/fencing-rig.ts";
import { DRAINED } from "../../world/server-rig.ts";
import { ServerWorld } from "../../world/server-world.ts";

const MEMBER = 11n;

test.each([16n, 1024n, 1024n * 1024n])("F8: on %d MiB no grant is larger than its cap", (mebibytes) => {
  const { dataCount } = layoutFor(mebibytes * BigInt(MIB));

  const { grantBlocks, pool } = sizesFor(dataCount);

  expect(grantBlocks).toBeLessThanOrEqual(SERVER_GRANT_BLOCKS_MAX);
  expect(pool.highBlocks).toBeLessThanOrEqual(MEMBER_GRANT_BLOCKS_MAX);
});

test("F8: a member that asks for everything is granted its cap at a time", async () => {
  const rig = await FencingRig.start(await ServerWorld.format(384 * MIB));

  const taken = await rig.server.take(1n, 0xffff_ffff);

  expect(taken.lengthBlocks).toBe(MEMBER_GRANT_BLOCKS_MAX);
  expect(await rig.server.server.trees.members.grants(1n)).toContainEqual(taken);
});

test("F8: writes are refused while the quarantine holds much of the volume, metadata goes on, and a fence ends it", async () => {
  const rig = await FencingRig.start(await ServerWorld.format(64 * MIB));
  for (let rid = 20n; rid < 200n; rid += 1n) {
    const outcome = await rig.loses(rid, processOf(Number(rid)), 1500).catch((error: unknown) => error);
    if (outcome !== undefined) break;
  }
  const refused = await rig.server.take(1n, 1).catch((error: unknown) => error);

  // What needs no data goes on from the reserve.
  await rig.server.join(300n);
  await rig.server.requests.farewell(300n, DRAINED);
  const { trees } = rig.server.server;
  for (const rid of (await trees.members.owners()).keys())
    await rig.fencing.confirm(rid, rig.fencing.evidence("operator", "ada"));
  const taken = await rig.server.take(1n, 1000);

  expect(refused).toMatchObject({
    code: "ERR_HOLDFAST_SPACE_QUARANTINED",
    message: expect.stringContaining("holdfast fence"),
  });
  expect(taken.lengthBlocks).toBe(1000);
  expect(rig.quarantined).toBe(0);
  expect(rig.server.server.fatal).toEqual([]);
  expect(await rig.audit()).toEqual([]);
});

test("a volume that is full of data says so, and nothing of the quarantine", async () => {
  const rig = await FencingRig.start();
  let refused: unknown;
  while (refused === undefined)
    refused = await rig.server.take(1n, 100_000).then(
      () => undefined,
      (error: unknown) => error,
    );

  expect(refused).toMatchObject({ code: "ERR_HOLDFAST_NO_SPACE" });
});

const FAILED: LastWord = { mayBeWritten: true, isServing: false, saidTerm: 9n };

test("F3: what a member still holds is not free when it leaves after a write failed; its end must be confirmed", async () => {
  const rig = await FencingRig.start();
  const { freeBlocks } = rig.server.server.trees.free;
  const { journal } = await rig.server.join(MEMBER, processOf(11));
  await rig.server.take(MEMBER, 100);
  const held = journal.reduce((sum, { lengthBlocks }) => sum + lengthBlocks, 100);

  await rig.server.requests.farewell(MEMBER, FAILED);

  expect(rig.quarantined).toBe(held);
  expect(rig.server.left).toEqual([MEMBER]);
  expect(await rig.server.server.trees.members.owner(MEMBER)).toMatchObject({
    process: processOf(11),
    evidence: { kind: "none" },
  });
  await rig.fencing.confirm(MEMBER, rig.fencing.evidence("operator", "ada"));
  expect(rig.server.server.trees.free.freeBlocks).toBe(freeBlocks);
  expect(await rig.audit()).toEqual([]);
});

test("F4: the farewell of a member that has drained confirms its end for what was in quarantine before", async () => {
  const rig = await FencingRig.start();
  await rig.server.join(MEMBER);
  await rig.server.give(MEMBER, [await rig.server.take(MEMBER, 100)], true);
  expect(rig.quarantined).toBe(100);

  await rig.server.requests.farewell(MEMBER, DRAINED);
  const owner = await rig.server.server.trees.members.owner(MEMBER);
  rig.fencing.look(MEMBER);
  await rig.pass();

  expect(owner?.evidence).toMatchObject({ kind: "farewell", by: "m11" });
  expect(rig.quarantined).toBe(0);
  expect(await rig.audit()).toEqual([]);
});

test("a member that leaves with nothing in quarantine is forgotten at once", async () => {
  const rig = await FencingRig.start();
  await rig.server.join(MEMBER);

  await rig.server.requests.farewell(MEMBER, DRAINED);

  expect(await rig.server.server.trees.members.owners()).toEqual(new Map());
});
