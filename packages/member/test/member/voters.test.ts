/*
 * Who votes: members that gave an address to listen at, and nobody else.
 */
import { blockOffset } from "@holdfast/environment";
import { expect, test } from "vitest";
import { livingVoters, quorumRegionOf, readSuper, VOLUME_FORMAT_HASH } from "../../src/index.ts";
import { layoutFor } from "../../src/volume/layout.ts";
import { MemberWorld, type TestMember } from "../world/member-world.ts";

/** The rids whose hints change on the device. */
async function votersOf(world: MemberWorld): Promise<readonly bigint[]> {
  const { superBlock } = await readSuper(world.device, VOLUME_FORMAT_HASH);
  const layout = layoutFor(blockOffset(superBlock.blockCount), superBlock.termsMax);
  const voters = await world.finish(livingVoters(quorumRegionOf(superBlock, layout), world));
  return voters.map(({ rid }) => rid).sort((a, b) => (a < b ? -1 : 1));
}

function ridsOf(members: readonly TestMember[]): readonly bigint[] {
  return members.map(({ member }) => member.rid).sort((a, b) => (a < b ? -1 : 1));
}

test("members without an address give no vote, however many they are and whatever becomes of the voters", async () => {
  const world = await MemberWorld.format({ votes: 2 });
  const beginnings = [world.begin(), world.begin()];
  const voters: TestMember[] = [];
  for (const { host, opening, losses } of beginnings)
    voters.push({ member: await world.finish(opening), host, losses });
  const silent = [1, 2, 3].map(() => world.begin({ listenAddress: undefined }));
  const silentMembers = await Promise.all(silent.map(({ opening }) => world.finish(opening)));
  expect(await votersOf(world)).toEqual(ridsOf(voters));

  const server = voters.find(({ member }) => member.report().isServing);
  const survivors = voters.filter((voter) => voter !== server);
  server?.host.kill();
  await world.clock.advance(10_000);

  expect(await votersOf(world)).toEqual(ridsOf(survivors));
  for (const member of [...silentMembers, ...survivors.map(({ member: own }) => own)])
    expect(member.report()).toMatchObject({ isServing: false, isConnected: false });

  const third = world.begin();
  const late = { member: await world.finish(third.opening), host: third.host, losses: third.losses };
  const candidates = [...survivors, late];
  expect(candidates.filter(({ member }) => member.report().isServing)).toHaveLength(1);
  await world.until(() => silentMembers.every((member) => member.report().isConnected));
  expect(silentMembers.filter((member) => member.report().isServing)).toEqual([]);
});
