/*
 * `npm run kills`: kills the server of three member processes under load, again and again, and counts what was lost.
 * With `--any` it kills any of them at any moment, sooner than anybody recovers, for `--minutes`; and each judgement asks whether
 * some order of all reads and writes explains what the members were told. With `--stall-seconds` the server also stands still for so
 * long, in every eighth judgement.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { killLoop, type KillLoopResult } from "@holdfast/real-faults";
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

/** A day. */
const MINUTES_MAX = 1440;

/** Ten minutes. */
const STALL_SECONDS_MAX = 600;

/** Kills of any member before each judgement. */
const KILLS_PER_ROUND = 5;

/** Load before and after each kill. */
const LOAD_MS = 1500;
const AFTER_MS = 4000;

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10" },
    json: { type: "boolean", default: false },
    any: { type: "boolean", default: false },
    minutes: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    "stall-seconds": { type: "string", default: "0" },
  },
});
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) throw new RangeError("--runs must be a positive number");
const minutes = Number(values.minutes);
if (!(minutes > 0 && minutes <= MINUTES_MAX))
  throw new RangeError(`--minutes must be more than 0, at most ${MINUTES_MAX}`);
const seed = Number(values.seed);
if (!Number.isInteger(seed)) throw new RangeError("--seed must be a whole number");

const stallSeconds = Number(values["stall-seconds"]);
if (!(stallSeconds >= 0 && stallSeconds <= STALL_SECONDS_MAX))
  throw new RangeError(`--stall-seconds must be 0 to ${STALL_SECONDS_MAX}`);
if (stallSeconds > 0 && !values.any) throw new RangeError("--stall-seconds needs --any");

const directory = await mkdtemp(join(tmpdir(), "holdfast-kills-"));
try {
  const url = join(directory, "volume.hf");
  process.exitCode = (await (values.any ? killAny(url) : killServers(url))) ? 0 : 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}

/** True if nothing was lost. */
async function killServers(url: string): Promise<boolean> {
  const results = await killAgainAndAgain(url);
  report(results);
  return results.every(({ lost }) => lost.length === 0);
}

/** True if nothing was lost, and nothing was read that was not to be. */
async function killAny(url: string): Promise<boolean> {
  await makeVolume(url, { sizeBytes: VOLUME_BYTES, label: "kills" });
  const result = await killLoop(url, {
    rounds: Number.POSITIVE_INFINITY,
    killsPerRound: KILLS_PER_ROUND,
    seed,
    stallMs: stallSeconds * 1000,
    signal: AbortSignal.timeout(minutes * 60_000),
    onRound: sayRound,
  });
  return result.contradictions.length === 0;
}

function sayRound(result: KillLoopResult): void {
  const { kills, serverKills, stalls, slowestResumptionMs, acknowledged, contradictions } = result;
  const stalled =
    stalls === 0
      ? ""
      : `, ${stalls} stalls of the server (the others wrote again within ${slowestResumptionMs} ms)`;
  const text = `${kills} kills, ${serverKills} of them of the server${stalled}; ${acknowledged} acknowledged writes, ${contradictions.length} contradictions`;
  process.stdout.write(`${values.json ? JSON.stringify(result) : text}\n`);
  for (const contradiction of contradictions) process.stderr.write(`wrong: ${contradiction}\n`);
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
