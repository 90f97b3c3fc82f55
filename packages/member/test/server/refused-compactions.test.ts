/*
 * Members that take no job, at an awkward moment: that costs the job, never the reign.
 */
import { MIB } from "@holdfast/environment";
import { CALL_ANSWER_DROPPED, CALL_MALFORMED, CALL_NO_SESSION } from "@holdfast/net-reliable";
import { expect, test } from "vitest";
import { Refusal } from "../../src/protocol.ts";
import { GRANTS_PER_COMMIT } from "../../src/server/member-records.ts";
import { DRAINED, type SentJob, ServerRig } from "../world/server-rig.ts";
import { ServerWorld } from "../world/server-world.ts";

const A = 11n;
const B = 12n;

/** A server that has given B a job. */
async function rigWithJob(): Promise<{ readonly server: ServerRig; readonly sent: SentJob }> {
  const server = await ServerRig.start(await ServerWorld.format(64 * MIB), 1n);
  await server.join(A);
  await server.join(B);
  server.workers = [B];
  for (let count = 0; count < 5; count += 1)
    await server.record(A, [await server.write(A, [`a${count}`, `z${count}`])]);
  await server.world.clock.advance(1);
  const [sent] = server.jobs;
  if (sent === undefined) throw new Error("no job was sent");
  return { server, sent };
}

test("a member that refuses a compaction in the middle of its farewell does not end the reign", async () => {
  const { server, sent } = await rigWithJob();
  // Its farewell takes two commits, and the job's blocks go with the first.
  for (let count = 0; count < GRANTS_PER_COMMIT; count += 1) await server.take(B, 1);

  const leaving = server.requests.farewell(B, DRAINED);
  sent.answer(Refusal.busy);
  await server.world.clock.advance(1);
  await leaving;

  expect(server.server.fatal).toEqual([]);
  expect(server.events).toContain("compaction.blocks-left");
  expect(await server.missingBlocks()).toBe(1);
});

test("a member that gives a compaction's blocks back and then refuses it does not end the reign", async () => {
  const { server, sent } = await rigWithJob();
  await server.give(
    B,
    sent.job.outputs.map(({ extent }) => extent),
  );

  sent.answer(Refusal.busy);
  await server.world.clock.advance(1);

  expect(server.server.fatal).toEqual([]);
  expect(await server.missingBlocks()).toBe(1);
});

test.each([
  ["cannot decode a job", CALL_MALFORMED],
  ["has no session any more", CALL_NO_SESSION],
])("a member that %s costs nothing: the blocks come back", async (_, error) => {
  const { server, sent } = await rigWithJob();

  sent.answer(error);
  await server.world.clock.advance(1);

  expect(await server.server.trees.members.grants(B)).toEqual([]);
  expect(server.server.fatal).toEqual([]);
});

test("the blocks of a job whose answer is lost stay with the member, which may be writing there", async () => {
  const { server, sent } = await rigWithJob();
  const extents = sent.job.outputs.map(({ extent }) => extent);

  sent.answer(CALL_ANSWER_DROPPED);
  await server.world.clock.advance(1);

  expect(await server.server.trees.members.grants(B)).toEqual(extents);
});

test("whatever else goes wrong while blocks are taken back ends the reign", async () => {
  const { server, sent } = await rigWithJob();
  server.server.committer.stop(new Error("the device failed"));

  sent.answer(Refusal.busy);
  await server.world.clock.advance(1);

  expect(server.server.fatal).toMatchObject([{ message: "the device failed" }]);
});
