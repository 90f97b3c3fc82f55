/*
 * kill -9 of any member at any moment, again and again; each round ends with a judgement. Now and then a round begins with a server
 * that stands still for long, and goes on.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Crew, type CrewMember, type Place, placeOnLoopback, sharedNow } from "./crew.ts";
import { COUNT_KEY } from "./member-protocol.ts";
import { until } from "./until.ts";

/** Members that are there between two kills. */
const MEMBERS = 3;

/** A kill comes after 0 to so many milliseconds. */
const INTERVAL_MS = 500;

/** A round in so many begins with a stall, the first one too. */
const STALL_ROUNDS = 8;

/** Keys of members that are gone, read in one round, in turn: their number grows with every kill. */
const OLDER_KEYS_PER_ROUND = 400;

/** How long, and with which dice. */
export interface KillLoopOptions {
  /** Judgements. */
  readonly rounds: number;
  /** Kills before each judgement. */
  readonly killsPerRound: number;
  /** Whom, and when. The rest is the machine's: a seed does not repeat a run. */
  readonly seed: number;
  /** The server stands still for so long, now and then; 0, the default: never. */
  readonly stallMs?: number;
  /** Told after each round. */
  readonly onRound?: (result: KillLoopResult) => void;
  /** Ends the loop after the round under way. */
  readonly signal?: AbortSignal;
}

/** What came of it so far. */
export interface KillLoopResult {
  readonly kills: number;
  /** Kills of the one that served. */
  readonly serverKills: number;
  /** Servers that stood still. */
  readonly stalls: number;
  /** The longest it took, from the beginning of a stall, until each of the others had written again, what needs the server included. */
  readonly slowestResumptionMs: number;
  /** Acknowledged writes. */
  readonly acknowledged: number;
  /** What is wrong; the loop ends with the first. */
  readonly contradictions: readonly string[];
}

/** Kills members of the volume at `url`, starts others in their place, and judges what they were told. */
export async function killLoop(url: string, options: KillLoopOptions): Promise<KillLoopResult> {
  const { rounds, killsPerRound, seed, stallMs = 0, onRound, signal } = options;
  const dice = new Dice(seed);
  const crew = await Crew.start(Array.from({ length: MEMBERS }, () => placeOnLoopback(url)));
  let result: KillLoopResult = NOTHING_YET;
  try {
    for (let round = 0; round < rounds; round += 1) {
      if (signal?.aborted === true) break;
      await crew.load();
      if (stallMs > 0 && round % STALL_ROUNDS === 0) {
        const resumedMs = await stallServer(crew, stallMs);
        const slowestResumptionMs = Math.max(result.slowestResumptionMs, Math.round(resumedMs));
        result = { ...result, stalls: result.stalls + 1, slowestResumptionMs };
      }
      const starting: Promise<void>[] = [];
      for (let kill = 0; kill < killsPerRound; kill += 1) {
        await sleep(dice.below(INTERVAL_MS));
        const { isServing, started } = await killAndReplace(crew, dice);
        starting.push(started);
        result = { ...result, kills: result.kills + 1, serverKills: result.serverKills + Number(isServing) };
      }
      await Promise.all(starting);
      await replaceLost(crew);
      await crew.server();
      const contradictions = await crew.verdict(undefined, OLDER_KEYS_PER_ROUND);
      result = { ...result, acknowledged: crew.ledger.acknowledgedCount, contradictions };
      onRound?.(result);
      if (contradictions.length > 0) break;
      crew.forget();
    }
    if (result.contradictions.length > 0) return result;
    // Once more, everything that was ever written.
    result = { ...result, contradictions: await crew.verdict() };
    onRound?.(result);
    return result;
  } finally {
    await crew.end();
  }
}

const NOTHING_YET: KillLoopResult = {
  kills: 0,
  serverKills: 0,
  stalls: 0,
  slowestResumptionMs: 0,
  acknowledged: 0,
  contradictions: [],
};

/**
 * Lets the server stand still for `stallMs`, and go on.
 *
 * @returns How long it took until each of the others had written again.
 */
async function stallServer(crew: Crew, stallMs: number): Promise<number> {
  const server = await crew.server();
  const others = crew.members.filter((member) => member !== server);
  const sinceMs = sharedNow();
  server.freeze();
  await crew.goOn(others, sinceMs);
  const resumptionMs = sharedNow() - sinceMs;
  await sleep(Math.max(0, stallMs - resumptionMs));
  const awakeMs = sharedNow();
  server.resume();
  await until(`${server.name} goes on, or says that it is out`, () => {
    return server.lostCode !== undefined || server.hasWrittenSince(awakeMs, COUNT_KEY);
  });
  await replaceLost(crew);
  return resumptionMs;
}

/** What a kill did. */
interface Kill {
  /** The victim served, as far as it could say. */
  readonly isServing: boolean;
  /** Resolves when the one in its place is under load, or was a victim itself. */
  readonly started: Promise<void>;
}

async function killAndReplace(crew: Crew, dice: Dice): Promise<Kill> {
  const { members } = crew;
  const victim = members[dice.below(members.length)];
  if (victim === undefined) throw new Error("nobody is left to kill");
  const isServing = victim.isJoined && (await serves(victim));
  await victim.kill();
  const started = start(crew, victim.place);
  // Told at the end of the round, when all of them are waited for.
  started.catch(() => undefined);
  return { isServing, started };
}

/** Starts a member; resolves when it is under load, or has ended. */
async function start(crew: Crew, place: Place): Promise<void> {
  const fresh = crew.add(place);
  try {
    await fresh.joined();
    await fresh.ask({ kind: "load" });
  } catch (error) {
    // It was the next victim.
    if (fresh.isAlive) throw error;
  }
}

/** A busy machine may keep a member silent for so long that it is evicted: that is no contradiction, but an end. */
async function replaceLost(crew: Crew): Promise<void> {
  const lost = crew.members.filter(({ lostCode }) => lostCode !== undefined);
  for (const member of lost) {
    await member.kill();
    await start(crew, member.place);
  }
}

async function serves(member: CrewMember): Promise<boolean> {
  const { isServing = false } = await member.ask({ kind: "report" });
  return isServing;
}

/** Numbers from a seed: mulberry32. */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `limit` − 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }
}
