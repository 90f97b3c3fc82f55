/*
 * `npm run kills`: kills the server of three member processes under load, again and again, and counts what was lost.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { connectToMember, makeVolume } from "holdfast";
import { findServer } from "./demo.ts";
import { type MemberProcess, startMember } from "./member-process.ts";
import { Writer } from "./writer.ts";

/** What one kill did. */
interface KillResult {
  readonly acknowledged: number;
  readonly lost: readonly string[];
  /** Until a write under a lock that the writer had cached. */
  readonly cachedMs: number;
  /** Until a write that needed the server to hand a lock over. */
  readonly sharedMs: number;
}

const VOLUME_BYTES = 1024n * 1024n * 1024n;

/** Load before and after each kill. */
const LOAD_MS = 1500;
const AFTER_MS = 4000;

const { values } = parseArgs({
  options: { runs: { type: "string", default: "10" }, json: { type: "boolean", default: false } },
});
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) throw new RangeError("--runs must be a positive number");

const directory = await mkdtemp(join(tmpdir(), "holdfast-kills-"));
try {
  const results = await killAgainAndAgain(join(directory, "volume.hf"));
  report(results);
  process.exitCode = results.every(({ lost }) => lost.length === 0) ? 0 : 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function killAgainAndAgain(url: string): Promise<readonly KillResult[]> {
  await makeVolume(url, { sizeBytes: VOLUME_BYTES, label: "kills" });
  let members = await Promise.all(["member-1", "member-2", "member-3"].map((name) => startMember(url, name)));
  const results: KillResult[] = [];
  try {
    for (let run = 1; run <= runs; run += 1) {
      const { result, survivors } = await killOnce(url, members);
      results.push(result);
      if (!values.json) {
        process.stdout.write(
          `run ${run}: ${result.acknowledged} acknowledged, ${result.lost.length} lost, next acknowledged write ${result.cachedMs.toFixed(0)} ms (cached lock), ${result.sharedMs.toFixed(0)} ms (lock handed over by the new server)\n`,
        );
      }
      for (const lost of result.lost) process.stderr.write(`lost: ${lost}\n`);
      members = [...survivors, await startMember(url, `member-${run + 3}`)];
    }
  } finally {
    await Promise.all(members.map((member) => member.kill()));
  }
  return results;
}

async function killOnce(
  url: string,
  members: readonly MemberProcess[],
): Promise<{ readonly result: KillResult; readonly survivors: readonly MemberProcess[] }> {
  const server = await findServer(url, members);
  const survivors = members.filter((member) => member !== server);
  const writers = await Promise.all(
    survivors.map(async ({ socket }, index) => new Writer(String(index), await connectToMember(url, socket))),
  );
  for (const writer of writers) writer.start();
  await sleep(LOAD_MS);
  const killedMs = performance.now();
  await server.kill();
  await sleep(AFTER_MS);
  await Promise.all(writers.map((writer) => writer.stop()));
  const read = await readAll(url, survivors);
  const best = (isShared: boolean): number =>
    Math.min(...writers.map((writer) => writer.nextAcknowledgement(killedMs, isShared)));
  const result = {
    acknowledged: writers.reduce((sum, writer) => sum + writer.count, 0),
    lost: writers.flatMap((writer) => writer.lostIn(read)),
    cachedMs: best(false),
    sharedMs: best(true),
  };
  return { result, survivors };
}

async function readAll(url: string, members: readonly MemberProcess[]): Promise<ReadonlyMap<string, string>> {
  const last = members.at(-1);
  if (last === undefined) throw new Error("there are no members");
  const access = await connectToMember(url, last.socket);
  const read = new Map<string, string>();
  for await (const page of access.pages("main", {})) {
    for (const { key, value } of page) read.set(Buffer.from(key).toString(), Buffer.from(value).toString());
  }
  await access.close();
  return read;
}

function report(results: readonly KillResult[]): void {
  const summary = {
    runs: results.length,
    acknowledged: results.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    lost: results.reduce((sum, { lost }) => sum + lost.length, 0),
    cachedMs: spread(results.map(({ cachedMs }) => cachedMs)),
    sharedMs: spread(results.map(({ sharedMs }) => sharedMs)),
  };
  process.stdout.write(
    values.json
      ? `${JSON.stringify(summary)}\n`
      : `${summary.runs} kills of the server, ${summary.acknowledged} acknowledged writes, ${summary.lost} lost; next acknowledged write: cached lock median ${summary.cachedMs.median} ms, worst ${summary.cachedMs.worst} ms; lock handed over median ${summary.sharedMs.median} ms, worst ${summary.sharedMs.worst} ms\n`,
  );
}

function spread(times: readonly number[]): { readonly median: number; readonly worst: number } {
  const ordered = times.toSorted((a, b) => a - b);
  return {
    median: Math.round(ordered[Math.floor(ordered.length / 2)] ?? 0),
    worst: Math.round(ordered.at(-1) ?? 0),
  };
}
