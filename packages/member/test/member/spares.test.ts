import { blockOffset } from "@holdfast/environment";
import { formatQuorum, readNewestRecord } from "@holdfast/quorum";
import { beforeEach, expect, test } from "vitest";
import { quorumRegionOf, readSuper, renewVolume, VOLUME_FORMAT_HASH } from "../../src/index.ts";
import { layoutFor } from "../../src/volume/layout.ts";
import { VolumeState } from "../../src/volume/volume-state.ts";
import { MemberWorld, textOf } from "../world/member-world.ts";

/** A server that died before its second commit. */
const DEAD = 77n;

let world: MemberWorld;
beforeEach(async () => {
  world = await MemberWorld.format();
  await useUpSpares();
});

test("where too many servers died before their second commit nobody serves, and opening says so", async () => {
  await expect(world.open()).rejects.toMatchObject({ code: "ERR_HOLDFAST_NO_SPARE" });
});

test("a renewal gives the spares back that dead servers took and wrote nothing to that counts", async () => {
  await world.finish(renew(new Set([DEAD])));

  const member = await world.open();
  const data = await member.member.dataset();
  await world.finish(data.put("k", "1"));
  const { spares, orphans, quarantine } = await newestState();

  expect(textOf(await world.finish(data.get("k")))).toBe("1");
  expect([spares.length > 8, orphans, quarantine.blocks]).toEqual([true, [], 0]);
});

test("what a tree reaches is no spare: it goes the way of all that dead servers were granted", async () => {
  const { freeRoot, orphans } = await newestState();
  const [first, ...others] = orphans;
  if (first === undefined) throw new Error("the dead server was granted nothing");
  // mkfs puts the node of free space in front of the first spare.
  expect(freeRoot.address).toBe(first.start - 1n);
  const around = { ...first, start: first.start - 1n, lengthBlocks: first.lengthBlocks + 1 };
  await rewriteState({ orphans: [around, ...others] });

  await world.finish(renew(new Set([DEAD])));

  expect(await newestState()).toMatchObject({ orphans: [around], spares: { length: others.length } });
  await world.open();
});

test("of servers whose end is not confirmed nothing is given to anybody", async () => {
  await expect(world.finish(renew(new Set()))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_RENEW_REFUSED",
    suspects: [{ rid: DEAD }],
  });
});

function renew(fenced: ReadonlySet<bigint>): ReturnType<typeof renewVolume> {
  const { device, clock } = world;
  return renewVolume({ device, clock, rid: 99n, fenced, signal: new AbortController().signal });
}

/** The volume as sixteen servers leave it that die one after the other, each before its second commit. */
async function useUpSpares(): Promise<void> {
  const { spares } = await newestState();
  const orphans = spares.map((spare) => ({ ...spare, owner: DEAD, term: 1n, isDrained: false }));
  await rewriteState({ spares: [], orphans });
}

async function rewriteState(change: Partial<VolumeState>): Promise<void> {
  const { region, payload } = await newestRecord();
  const state = VolumeState.encode({ ...VolumeState.decode(payload), ...change });
  for (const { address, block } of formatQuorum(region, state))
    await world.device.write(blockOffset(address), block, { isDurable: true });
}

async function newestState(): Promise<VolumeState> {
  return VolumeState.decode((await newestRecord()).payload);
}

async function newestRecord(): Promise<{
  readonly region: ReturnType<typeof quorumRegionOf>;
  readonly payload: Uint8Array;
}> {
  const { superBlock } = await readSuper(world.device, VOLUME_FORMAT_HASH);
  const layout = layoutFor(blockOffset(superBlock.blockCount), superBlock.termsMax);
  const region = quorumRegionOf(superBlock, layout);
  const record = await readNewestRecord(region, world);
  if (record === undefined) throw new Error("the volume has no record");
  return { region, payload: record.payload };
}
