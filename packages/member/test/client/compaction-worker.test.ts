import { type CompactionJob, CompactionJob as JobCodec, CompactionResult } from "@holdfast/compaction";
import { MIB, SILENT_LOGGER } from "@holdfast/environment";
import { MessageError } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { CompactionWorker, JOBS_MAX } from "../../src/client/compaction-worker.ts";
import { EvictedError, OperationRefusedError } from "../../src/index.ts";
import {
  Command,
  CompactedRequest,
  EMPTY_BODY,
  GiveExtentsRequest,
  type Operation,
  Refusal,
} from "../../src/protocol.ts";
import { type SentJob, ServerRig } from "../world/server-rig.ts";
import { ServerWorld } from "../world/server-world.ts";

const A = 11n;
const B = 12n;

/** The server as a worker sees it: takes results, or refuses them, and blocks. */
class Answers {
  readonly term = 2n;
  readonly log: string[] = [];
  results: CompactedRequest[] = [];
  given: GiveExtentsRequest[] = [];
  refusal: Error | undefined;

  async operation(command: number, encode: (operation: Operation) => Uint8Array): Promise<Uint8Array> {
    const body = encode({ operation: 1n, seen: 0n });
    if (command === Command.compacted) {
      this.results.push(CompactedRequest.decode(body));
      if (this.refusal !== undefined) throw this.refusal;
    } else this.given.push(GiveExtentsRequest.decode(body));
    return EMPTY_BODY;
  }
}

/** A worker with a job over real segments. */
async function fixture({ prefixes = ["a", "z"], valueBytes = 1 } = {}): Promise<{
  world: ServerWorld;
  answers: Answers;
  worker: CompactionWorker;
  sent: SentJob;
  accept: (job: CompactionJob) => number;
}> {
  const world = await ServerWorld.format(64 * MIB);
  const server = await ServerRig.start(world, 1n);
  await server.join(A);
  await server.join(B);
  server.workers = [B];
  for (let count = 0; count < 5; count += 1) {
    const keys = prefixes.map((prefix) => `${prefix}${count}`);
    await server.record(A, [await server.write(A, keys, "v".repeat(valueBytes))]);
  }
  await world.clock.advance(1);
  const [sent] = server.jobs;
  if (sent === undefined) throw new Error("no job was sent");
  const answers = new Answers();
  const { device, fsid, clock } = world;
  const worker = new CompactionWorker({ device, fsid, rid: B, clock, link: answers, log: SILENT_LOGGER });
  const accept = (job: CompactionJob): number => {
    let answer = -1;
    worker.accept(JobCodec.encode(job), (error) => {
      answer = error;
    });
    return answer;
  };
  return { world, answers, worker, sent, accept };
}

test("a job is accepted at once, and its result is reported when it is done", async () => {
  const { answers, worker, sent, accept } = await fixture();

  expect(accept(sent.job)).toBe(0);
  expect(answers.results).toEqual([]);
  await worker.stop();

  const [report] = answers.results;
  expect(report?.job).toBe(sent.job.id);
  expect(CompactionResult.decode(report?.result ?? EMPTY_BODY).outputs).toHaveLength(1);
  expect(answers.given).toEqual([]);
});

test.each([Refusal.unknownJob, Refusal.resultRefused, Refusal.malformed, Refusal.internal])(
  "a result that is refused with %d leaves the blocks with the worker, which gives them back",
  async (refusal) => {
    const { answers, worker, sent, accept } = await fixture();
    answers.refusal = new OperationRefusedError(Command.compacted, refusal);

    accept(sent.job);
    await worker.stop();

    expect(answers.given).toMatchObject([
      { extents: sent.job.outputs.map(({ extent }) => extent), mayBeWritten: false },
    ]);
  },
);

test("a job that cannot be read is reported as failed, and its blocks go back as free ones", async () => {
  const { world, answers, worker, sent, accept } = await fixture();
  world.device.onRead = () => {
    throw new Error("bad sector");
  };

  accept(sent.job);
  await worker.stop();

  expect(answers.results.map(({ result }) => result.length)).toEqual([0]);
  expect(answers.given).toMatchObject([{ mayBeWritten: false }]);
});

test("a write that failed may still land: the blocks go back as such, and that worker takes no more jobs", async () => {
  const { world, answers, worker, sent, accept } = await fixture();
  world.device.onWrite = () => {
    throw new Error("bad sector");
  };
  accept(sent.job);
  await world.clock.advance(10);

  expect(answers.given).toMatchObject([
    { extents: sent.job.outputs.map(({ extent }) => extent), mayBeWritten: true },
  ]);
  world.device.onWrite = () => {};
  expect(accept(sent.job)).toBe(Refusal.busy);
  await worker.stop();
});

test("F3: a write that failed unseen may still land, whatever error ends the job first", async () => {
  const { world, answers, worker, sent, accept } = await fixture({
    prefixes: "abcdefghijkl".split(""),
    valueBytes: 60_000,
  });
  let isGone = false;
  world.device.onWrite = () => {
    isGone = true;
    throw new Error("the connection to the device broke");
  };
  world.device.onRead = () => {
    if (isGone) throw new Error("the connection to the device broke");
  };

  accept(sent.job);
  await worker.stop();

  expect(isGone).toBe(true);
  expect(answers.given).toMatchObject([{ mayBeWritten: true }]);
});

test("a job that no planner makes is reported as failed without a read", async () => {
  const { world, answers, worker, sent, accept } = await fixture();
  world.device.onRead = () => {
    throw new Error("nothing is to be read");
  };

  expect(accept({ ...sent.job, upper: [] })).toBe(0);
  await worker.stop();

  expect(answers.results.map(({ result }) => result.length)).toEqual([0]);
  expect(answers.given).toHaveLength(1);
});

test("bytes that are no job are an error of the server's, and nothing runs", async () => {
  const { answers, worker } = await fixture();

  expect(() => worker.accept(new Uint8Array([1, 2, 3]), () => {})).toThrow(MessageError);

  await worker.stop();
  expect(answers.results).toEqual([]);
});

test("a worker has so many jobs at a time, and none when it stops", async () => {
  const { worker, sent, accept } = await fixture();
  const outcomes = Array.from({ length: JOBS_MAX + 1 }, () => accept(sent.job));
  expect(outcomes).toEqual([...Array.from({ length: JOBS_MAX }, () => 0), Refusal.busy]);

  await worker.stop();

  expect(accept(sent.job)).toBe(Refusal.busy);
});

test("when the membership has ended nothing more is asked: the blocks go with the eviction", async () => {
  const { answers, worker, sent, accept } = await fixture();
  answers.refusal = new EvictedError(B);

  accept(sent.job);
  await worker.stop();

  expect(answers.results).toHaveLength(1);
  expect(answers.given).toEqual([]);
});
