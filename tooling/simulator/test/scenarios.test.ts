/*
 * Scenarios of faults and abuse that need a whole cluster, each with its own schedule. docs/protocols/scenarios.md says where
 * each number is tested.
 */
import { NO_BROKEN_RULES } from "@holdfast/environment";
import { expect, test } from "vitest";
import {
  drawConfig,
  type Fault,
  type FaultKind,
  MemberCluster,
  RandomStream,
  type RunConfig,
  runPlan,
} from "../src/index.ts";

/** One scenario: what strikes, and what must have happened because of it. */
interface Scenario {
  readonly title: string;
  readonly faults: readonly Fault[];
  /** Counters that are not 0 afterwards. */
  readonly happened: readonly string[];
  /** How many terms were won, at least and at most; default: any number. */
  readonly reigns?: readonly [number, number];
  readonly config?: Partial<RunConfig>;
}

const PLAIN: RunConfig = drawConfig(new RandomStream(1n, "scenarios"), { membersMin: 3, membersMax: 3 });

/** Three voters that share a fresh volume, on a device that may lose what was not flushed; nobody is fenced. */
function configOf(change: Partial<RunConfig> = {}): RunConfig {
  const { volume, load } = PLAIN;
  return {
    ...PLAIN,
    hostCount: 3,
    voterCount: change.hostCount ?? 3,
    damage: "none",
    chaosMs: 6000,
    volume: { ...volume, isAged: false, isFenced: false, votes: 1 },
    load: { ...load, clientCount: 5, visitorCount: 0, thinkMaxMs: 30 },
    ...change,
  };
}

function fault(kind: FaultKind, atMs: number, lastsMs: number, choice = 0): Fault {
  return { id: `${kind}-${atMs}-${choice}`, kind, atMs, lastsMs, choice };
}

/** The same at several times, each with another choice. */
function often(kind: FaultKind, times: readonly number[], lastsMs: number, choice = 0): Fault[] {
  return times.map((atMs, index) => fault(kind, atMs, lastsMs, choice + index));
}

/** What a trap waits for: a record, its copy (see AWAITED_KINDS of nemesis/ambush.ts); the bits above say when it strikes. */
const AT_RECORD = 2;
const AT_RECORD_COPY = 3;
const BEFORE = 0x000;
const WITHIN = 0x100;
const AFTER = 0x300;
const KINDS_COUNT = 9;

/** A choice for a trap: of one kind of write, struck at one moment, the first of its kind. */
function choiceFor(awaited: number, moment: number): number {
  for (let choice = moment; choice < 0x1000; choice++)
    if (choice % KINDS_COUNT === awaited && ((choice >>> 8) & 3) === moment >>> 8) return choice;
  throw new RangeError("every kind is found within a few choices");
}

const SCENARIOS: readonly Scenario[] = [
  {
    title:
      "Scenario 1: a server that stands still with a record queued is replaced, and its record changes nothing",
    faults: often("hold-server", [500, 3200], 2200),
    happened: ["paused-past-election", "record-landed-late"],
    reigns: [2, Infinity],
  },
  {
    title:
      "Scenario 2: a server that stands still and one member that only it reaches give nobody a lock that conflicts",
    faults: [
      fault("pause-server", 500, 2500),
      fault("halves", 600, 2200, 0b001),
      fault("halves", 3500, 2000, 0b010),
    ],
    happened: ["paused-past-election", "fault halves", "evicted-refused"],
    reigns: [2, Infinity],
  },
  {
    title: "Scenario 3: a server dies before, between and behind the copies of its record",
    faults: [AT_RECORD, AT_RECORD_COPY].flatMap((awaited, index) =>
      [BEFORE, WITHIN, AFTER].map((moment, step) =>
        fault("crash-at-write", 500 + 900 * (3 * index + step), 300, choiceFor(awaited, moment)),
      ),
    ),
    happened: ["fault crash-at-write"],
    reigns: [2, Infinity],
  },
  {
    title: "Scenario 5: several that run for one term at once leave one server",
    faults: often("race-election", [400, 1500, 2600, 3700, 4800], 400),
    happened: ["term-lost-by-y"],
  },
  {
    title:
      "Scenario 6: a member that stands still with dirty data and a lock is evicted, and acknowledges nothing of it",
    faults: often("hold-member", [400, 1400, 2600], 3000, 1),
    happened: ["evicted-refused"],
  },
  {
    title:
      "Scenario 8: a record that is torn while the other copy of its half rots halts elections, and nothing goes back",
    config: { damage: "mirrored" },
    faults: often("rot-beside-torn-record", [500, 900, 1300, 1700, 2100, 2500, 2900, 3300], 100),
    happened: ["elections halted", "open ERR_HOLDFAST_RECORD_CORRUPT", "excused no-progress"],
  },
  {
    title: "Scenario 11: a server that reaches the device and nobody else is replaced",
    faults: often("isolate-server", [500, 3300], 2500),
    happened: ["fault isolate-server", "evicted-refused"],
    reigns: [2, Infinity],
  },
  {
    title:
      "Scenario 12: a member that reaches the device and nobody else replaces no server that others reach",
    faults: often("outlast-lease", [500], 2000, 1),
    happened: ["evicted-refused"],
    reigns: [1, 1],
  },
  {
    title:
      "Scenario 13: five members are clogged one by one and let go in another order while their server is replaced",
    config: { hostCount: 5 },
    faults: [
      ...often("swizzle-clog", [400, 1600, 2800, 4000], 1500, 3),
      ...often("crash-server", [1000, 3400], 300),
    ],
    happened: ["swizzle-clog-hit-server"],
    reigns: [2, Infinity],
  },
  {
    title:
      "Scenario 18: writes of a member that was killed land long after its eviction, and stay in quarantine",
    faults: often("ghost-writes", [400, 1900, 3400], 500),
    happened: ["fault ghost-writes", "confirmed-by-process", "quarantine-released"],
  },
  {
    title: "Scenario 19: a server whose write fails once stops, and does not try it again",
    faults: often("server-path-fails", [500, 2500, 4500], 600),
    happened: ["fault server-path-fails"],
    reigns: [2, Infinity],
  },
  {
    title: "Scenario 20: a device that stalls for half a minute and then completes everything has one server",
    faults: [fault("stall-disk", 500, 60_000)],
    happened: ["fault stall-disk", "locks-reported"],
    reigns: [2, Infinity],
  },
  {
    title: "Scenario 23: a device that goes back to what it held before is no excuse for a broken invariant",
    config: { chaosMs: 3000 },
    faults: [fault("roll-back-device", 1500, 1000)],
    happened: ["fault roll-back-device"],
  },
  {
    title: "Scenario 25: wall clocks that jump by years, once or ten times a second, change nothing",
    faults: [
      ...often("wall-jump", [400, 900, 1400, 1900, 2400], 100),
      ...often("wall-strobe", [600, 1600, 2600], 3000),
      fault("crash-server", 3000, 300),
    ],
    happened: ["clock-jumped-back"],
  },
  {
    title: "Scenario 26: with clocks that differ by a thousandth no member reads what is stale",
    config: { driftPpmMax: 1000 },
    faults: [...often("outlast-lease", [500], 2000, 1), fault("pause", 4800, 1000, 2)],
    happened: ["evicted-refused"],
  },
  {
    title:
      "Scenario 27: a host that is suspended for longer than anybody waits is a member no more when it goes on",
    config: { chaosMs: 9000 },
    faults: [fault("pause", 500, 7000, 1), fault("pause-server", 600, 7000)],
    happened: ["paused-past-election", "evicted-refused"],
    reigns: [2, Infinity],
  },
  {
    title:
      "Scenario 27: members that stand still for longer than every time-out, one while others follow it, come back as new ones",
    config: { chaosMs: 36_000 },
    faults: [fault("pause", 500, 33_000, 1), fault("pause-server", 600, 34_000)],
    happened: ["paused-past-election", "evicted-refused"],
    reigns: [2, Infinity],
  },
  {
    title:
      "Scenario 29: revocations cross with requests, are lost with their streams, and meet members that die",
    faults: [
      ...often("reset-streams", [500, 1000, 1500, 2000], 100, 0x100),
      ...often("crash", [1200, 2400, 3600], 300, 1),
    ],
    happened: ["fault reset-streams", "fault crash", "revoke-crossed-request"],
  },
  {
    title:
      "Scenario 30: of five members two are dead and one comes late when locks are reported to a new server",
    config: { hostCount: 5 },
    faults: [
      fault("pause", 500, 4000, 1),
      fault("pause", 500, 4000, 2),
      fault("pause", 500, 1600, 3),
      fault("crash-server", 600, 300),
    ],
    happened: ["locks-reported", "evicted-refused"],
    reigns: [2, Infinity],
  },
  {
    title:
      "Scenario 64: everybody loses power at once, again and again, and service goes on in whatever order they come",
    faults: often("power-loss", [600, 2200, 3800], 600),
    happened: ["fault power-loss"],
    reigns: [2, Infinity],
  },
];

test.each(SCENARIOS)("$title", { timeout: 60_000 }, async ({ faults, happened, reigns, config }) => {
  const result = await runPlan(
    { seed: 7n, config: configOf(config), faults: [...faults].sort((a, b) => a.atMs - b.atMs) },
    { cluster: new MemberCluster(), brokenRules: NO_BROKEN_RULES },
  );
  const counters = new Map(result.counters);

  expect(result.violations).toEqual([]);
  expect(happened.filter((name) => (counters.get(name) ?? 0) === 0)).toEqual([]);
  const [reignsMin, reignsMax] = reigns ?? [0, Infinity];
  expect(counters.get("term won") ?? 0).toBeGreaterThanOrEqual(reignsMin);
  expect(counters.get("term won") ?? 0).toBeLessThanOrEqual(reignsMax);
});
