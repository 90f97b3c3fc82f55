import { CompactionResult, runCompaction } from "@holdfast/compaction";
import { CALL_ABORTED } from "@holdfast/net-reliable";
import { MIB } from "@holdfast/environment";
import { expect, test } from "vitest";
import { Refusal } from "../../src/protocol.ts";
import { refusalFor } from "../../src/server/refusals.ts";
import { DRAINED, type SentJob, ServerRig } from "../world/server-rig.ts";
import { ServerWorld } from "../world/server-world.ts";

const A = 11n;
const B = 12n;

async function rig(levelZeroMax = 6): Promise<ServerRig> {
  const world = await ServerWorld.format(64 * MIB);
  const server = await ServerRig.start(world, 1n, { jobsPerMember: 1, levelZeroMax });
  await server.join(A);
  await server.join(B);
  return server;
}

/** Level-0 segments that overlap each other; more than four are too many. */
async function fill(server: ServerRig, segments: number): Promise<void> {
  for (let count = 0; count < segments; count += 1)
    await server.record(A, [await server.write(A, [`a${count}`, `z${count}`])]);
}

/** Lets planning come to its end. */
async function planned(server: ServerRig): Promise<void> {
  await server.world.clock.advance(1);
}

async function firstJob(server: ServerRig, worker = B): Promise<SentJob> {
  server.workers = [worker];
  await fill(server, 5);
  await planned(server);
  const [sent] = server.jobs;
  if (sent === undefined) throw new Error("no job was sent");
  return sent;
}

/** Does the job's work. */
async function work({ world }: ServerRig, { job, worker }: SentJob): Promise<Uint8Array> {
  const { device, fsid, clock } = world;
  return CompactionResult.encode(await runCompaction(job, { device, fsid, rid: worker, term: 2n, clock }));
}

function grantsOf(server: ServerRig, rid: bigint): Promise<readonly { readonly lengthBlocks: number }[]> {
  return server.server.trees.members.grants(rid);
}

async function refusalOf(answer: Promise<unknown>): Promise<number> {
  return refusalFor(await answer.catch((error: unknown) => error));
}

test("too many segments on level 0 become a job, whose blocks are granted to its worker before it hears of it", async () => {
  const server = await rig();
  const { worker, job } = await firstJob(server);

  expect([worker, job.upper.length, job.upperLevel]).toEqual([B, 5, 0]);
  expect(await grantsOf(server, B)).toEqual(job.outputs.map(({ extent }) => extent));
  expect(server.jobs.length).toBe(1);
  expect(await server.missingBlocks()).toBe(1);
});

test("a result takes the place of its inputs, whose blocks are free, and so are those granted in vain", async () => {
  const server = await rig();
  const sent = await firstJob(server);
  expect(await server.compactor.levels()).toEqual([5]);

  await server.compacted(B, sent.job.id, await work(server, sent));

  expect(await server.compactor.levels()).toEqual([0, 1]);
  expect(await grantsOf(server, B)).toEqual([]);
  expect(await server.missingBlocks()).toBe(1);
  const [output] = await server.server.trees.manifest.list(1);
  expect(output?.itemCount).toBe(10);
  expect((output?.id ?? 0n) >> 63n).toBe(1n);
});

test("a merge of nothing but deletions leaves no segment and gives every block back", async () => {
  const server = await rig();
  const sent = await firstJob(server);

  const nothing = CompactionResult.encode({
    jobId: sent.job.id,
    outputs: [],
    unused: sent.job.outputs.map(({ extent }) => extent),
  });
  await server.compacted(B, sent.job.id, nothing);

  expect(await server.server.trees.manifest.list()).toEqual([]);
  expect(await grantsOf(server, B)).toEqual([]);
  expect(await server.missingBlocks()).toBe(1);
});

test.each([
  [
    "names a segment that was not granted",
    (sent: SentJob) => ({ outputs: [{ ...sent.job.upper[0], id: 5n }] }),
  ],
  ["is of another job", () => ({ jobId: 77n })],
])("a result that %s is refused: the worker keeps the blocks, and returns them", async (_, change) => {
  const server = await rig();
  const sent = await firstJob(server);
  const result = CompactionResult.decode(await work(server, sent));
  const wrong = CompactionResult.encode({ ...result, ...change(sent) } as CompactionResult);

  expect(await refusalOf(server.compacted(B, sent.job.id, wrong))).toBe(Refusal.resultRefused);

  expect(await server.compactor.levels()).toEqual([5]);
  const extents = sent.job.outputs.map(({ extent }) => extent);
  expect(await grantsOf(server, B)).toEqual(extents);
  await server.give(B, extents);
  expect(await server.missingBlocks()).toBe(1);
  expect(await refusalOf(server.compacted(B, sent.job.id, wrong))).toBe(Refusal.unknownJob);
});

test("a result that is no result is refused as malformed, and its job is forgotten", async () => {
  const server = await rig();
  const sent = await firstJob(server);

  expect(await refusalOf(server.compacted(B, sent.job.id, new Uint8Array([1, 2, 3])))).toBe(
    Refusal.malformed,
  );

  expect(await refusalOf(server.compacted(B, sent.job.id, await work(server, sent)))).toBe(
    Refusal.unknownJob,
  );
});

test("a job that failed leaves its blocks with the worker, and its inputs rest before they are planned again", async () => {
  const server = await rig();
  const sent = await firstJob(server);
  await server.compacted(B, sent.job.id, new Uint8Array(0));
  expect(await grantsOf(server, B)).toEqual(sent.job.outputs.map(({ extent }) => extent));
  await server.world.clock.advance(4900);
  expect(server.jobs.length).toBe(1);

  await server.world.clock.advance(200);

  expect(server.jobs.length).toBe(2);
  expect(server.jobs[1]?.job.upper.map(({ id }) => id)).toEqual(sent.job.upper.map(({ id }) => id));
  expect(server.jobs[1]?.job.id).not.toBe(sent.job.id);
});

test("a result is of use to nobody but the worker that was given the job", async () => {
  const server = await rig();
  const sent = await firstJob(server);

  expect(await refusalOf(server.compacted(A, sent.job.id, await work(server, sent)))).toBe(
    Refusal.unknownJob,
  );

  await server.compacted(B, sent.job.id, await work(server, sent));
  expect(await server.compactor.levels()).toEqual([0, 1]);
});

test("a result that a former server's job brings is refused, and the one that it had applied is not applied again", async () => {
  const server = await rig();
  const sent = await firstJob(server);
  const next = await ServerRig.start(server.world, 2n);

  expect(await refusalOf(next.compacted(B, sent.job.id, await work(server, sent)))).toBe(Refusal.unknownJob);

  const extents = sent.job.outputs.map(({ extent }) => extent);
  await next.give(B, extents);
  expect(await next.compactor.levels()).toEqual([5]);
  expect(await next.missingBlocks()).toBe(1);
});

test("a member that takes no job costs nothing: its blocks come back, and its inputs rest", async () => {
  const server = await rig();
  const sent = await firstJob(server);

  sent.answer(Refusal.busy);
  await planned(server);

  expect(await grantsOf(server, B)).toEqual([]);
  expect(await server.missingBlocks()).toBe(1);
  expect(server.jobs.length).toBe(1);
  await server.world.clock.advance(5000);
  expect(server.jobs.length).toBe(2);
});

test("a member that left before it was asked is taken nothing from", async () => {
  const server = await rig();
  const sent = await firstJob(server);
  await server.requests.farewell(B, DRAINED);

  sent.answer(Refusal.busy);
  await planned(server);

  expect(server.server.fatal).toEqual([]);
  expect(await server.missingBlocks()).toBe(1);
});

test("the job of a member that is gone is given to another one at once", async () => {
  const server = await rig();
  const sent = await firstJob(server);
  server.workers = [A];

  server.compactor.memberGone(B);
  await planned(server);
  sent.answer(CALL_ABORTED);
  await planned(server);

  expect(server.jobs.map(({ worker }) => worker)).toEqual([B, A]);
  expect(server.jobs[1]?.job.upper.map(({ id }) => id)).toEqual(sent.job.upper.map(({ id }) => id));
});

test("nobody is granted blocks who is no member any more", async () => {
  const server = await rig();
  await server.requests.farewell(B, DRAINED);
  server.workers = [B];
  const done = fill(server, 5);
  await planned(server);
  server.workers = [];
  await done;
  await planned(server);

  expect(server.jobs).toEqual([]);
  expect(await server.missingBlocks()).toBe(1);
});

test("jobs go round the members, so many at a time, and never over the same segments", async () => {
  const server = await rig(100);
  server.workers = [A, B];
  for (const zone of ["a", "k", "t"])
    for (let count = 0; count < 6; count += 1)
      await server.record(A, [await server.write(A, [`${zone}0`, `${zone}9`])]);
  await planned(server);

  const inputs = server.jobs.flatMap(({ job }) => [...job.upper, ...job.lower].map(({ id }) => id));
  expect(server.jobs.length).toBe(2);
  expect(new Set(server.jobs.map(({ worker }) => worker))).toEqual(new Set([A, B]));
  expect(new Set(inputs).size).toBe(inputs.length);
});

test("levels are those of now, also before anything was planned", async () => {
  const server = await rig();
  await fill(server, 3);
  const next = await ServerRig.start(server.world, 2n);

  expect(await next.compactor.levels()).toEqual([3]);
});

test("writers wait while level 0 is full and a job is under way, and go on when it is done", async () => {
  const server = await rig();
  const sent = await firstJob(server);
  await fill(server, 1);
  let isRecorded = false;
  const recording = server.write(A, ["m"]).then((segment) =>
    server.record(A, [segment]).then(() => {
      isRecorded = true;
    }),
  );
  await server.world.clock.advance(100);
  expect([isRecorded, await server.compactor.levels()]).toEqual([false, [6]]);

  await server.compacted(B, sent.job.id, await work(server, sent));
  await recording;

  expect(await server.compactor.levels()).toEqual([2, 1]);
});

test("writers do not wait for a job that failed, for nobody, or for space that is not there", async () => {
  const server = await rig();
  const sent = await firstJob(server);
  await fill(server, 1);
  const waiting = server.write(A, ["m"]).then((segment) => server.record(A, [segment]));
  await server.world.clock.advance(100);
  await server.compacted(B, sent.job.id, new Uint8Array(0));
  await waiting;
  server.workers = [];
  await fill(server, 1);

  server.workers = [B];
  const segment = await server.write(A, ["n"]);
  await server.server.committer.mutate(async (trees) => {
    while (trees.free.freeBlocks - trees.free.unsettledBlocks > 0)
      await trees.members.grant(A, await trees.take(1_000_000, "a test"));
  });
  await server.world.clock.advance(6000);
  await server.record(A, [segment]);

  expect(server.events).toContain("compaction.no-space");
  expect((await server.compactor.levels())[0]).toBe(9);
});

test("a manifest that cannot be read ends the reign, and does not stop compaction in silence", async () => {
  const server = await rig();
  await fill(server, 3);
  const next = await ServerRig.start(server.world, 2n);
  next.workers = [B];
  server.world.device.damage(next.server.committer.committed.manifestRoot.address);

  next.compactor.lookForWork();
  await planned(next);

  expect(next.server.fatal).toMatchObject([{ category: "corruption" }]);
});

test("stopped, it fails who waits, plans nothing more and keeps no timer", async () => {
  const server = await rig();
  const sent = await firstJob(server);
  await fill(server, 1);
  const waiting = server.write(A, ["m"]).then((segment) => server.record(A, [segment]));
  const outcome = waiting.catch((error: unknown) => error);
  await server.world.clock.advance(10);
  await server.compacted(B, sent.job.id, new Uint8Array([1])).catch(() => {});
  const stopped = new Error("stopped");

  server.compactor.stop(stopped);
  server.compactor.lookForWork();
  await server.world.clock.advance(10_000);

  expect(server.jobs.length).toBeLessThanOrEqual(2);
  expect(server.world.clock.timersCount).toBe(0);
  await expect(server.compactor.roomInLevelZero()).rejects.toBe(stopped);
  expect([stopped, undefined]).toContain((await outcome) instanceof Uint8Array ? undefined : await outcome);
});
