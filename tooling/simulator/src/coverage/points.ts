/*
 * What must have happened sometimes, or runs without violations prove little (reference: reliability 3.8).
 *
 * A point is counted by its name, or by the name of another counter of the runs. A common one is met by any hundred seeds, a
 * rare one by any thousand, a seldom one by five thousand.
 */

/** How often a point is met. */
export type Frequency = "common" | "rare" | "seldom";

/** One thing that must happen sometimes. */
export interface CoveragePoint {
  readonly name: string;
  readonly frequency: Frequency;
  /** What happens there. */
  readonly what: string;
  /** Counters whose sum it is; the one of its name by default. */
  readonly counters?: readonly string[];
}

/** From so many seeds on points are required, by how often they are met. */
export const REQUIRED_FROM_SEEDS: Readonly<Record<Frequency, number>> = {
  common: 0,
  rare: 1000,
  seldom: 5000,
};

/** All points, by layer. */
export const COVERAGE_POINTS: readonly CoveragePoint[] = [
  // Elections and commit records.
  common("term-lost-by-x", "a candidate found that its claim of a term was written over"),
  common("term-lost-by-y", "a candidate found that the term was announced already"),
  rare("term-lost-by-all", "two candidates lost one term, and nobody won it"),
  rare(
    "claimed-not-announced",
    "a commit was confirmed although a later term was claimed, but not announced",
  ),
  rare("deposed-past-claims", "a server was deposed by a term behind one that was only claimed"),
  rare("term-marked-void", "a term that could not be read was marked"),
  common("unconfirmed-record-adopted", "a record whose server never heard that it is committed was adopted"),
  common("record-landed-late", "a record landed when a later term was won"),
  common("record-torn", "a piece of a record landed"),
  common("adopted-from-one-copy", "a record was adopted of which one copy was torn, older or damaged"),
  rare("elections-halted", "elections halted for want of a record", ["elections halted"]),
  rare("server-stopped-by-device", "a server stopped since its record could not be written"),
  rare(
    "server-outlived-stall",
    "a server went on after its device had answered nothing for longer than a heartbeat",
  ),
  seldom("terms-exhausted", "no term was left to run for", [
    "open ERR_HOLDFAST_TERMS_EXHAUSTED",
    "error ERR_HOLDFAST_TERMS_EXHAUSTED",
  ]),
  rare("terms-renewed", "the terms were renewed between two reigns, and who came back found everything"),
  common("server-resigned", "a server handed its role on"),
  // Pauses, links, clocks.
  common("paused-past-lease", "a member that was stopped for longer than its lease went on"),
  common(
    "paused-past-election",
    "a member that was stopped for longer than its lease and an election went on",
  ),
  rare("paused-past-everything", "a member that was stopped for longer than every time-out went on"),
  rare("swizzle-clog-hit-server", "links of the server were clogged and let go in another order"),
  common("clock-jumped-back", "the wall clock of a member jumped back while its lease ran"),
  common("power-lost", "the device lost what was not flushed", [
    "fault power-loss",
    "fault power-loss-at-write",
  ]),
  // Sessions.
  common("resent-to-server", "frames were sent again to a server on another connection"),
  common("resent-to-member", "frames were sent again to a member on another connection"),
  rare("asked-again", "a successor was asked for an operation that its predecessor had recorded"),
  rare("evicted-refused", "a server refused a member that was evicted"),
  rare("lower-term-ignored", "a deposed server spoke to a member that knows a later one, or was asked by it"),
  common("window-full-count", "as many requests as may be were unanswered, and more went when answers came"),
  common(
    "window-full-bytes",
    "as many bytes of requests as may be were unanswered, and more went when answers came",
  ),
  common("session-held-back", "requests waited at the server since their caller took no answers"),
  common("session-forgotten", "a session was forgotten, and who had it came back with a new one"),
  common("session-stolen", "a newer connection took a session from an older one that still stood"),
  common("cancelled-waiting", "a request was given up while it waited for room"),
  common("cancelled-under-way", "a request was given up before the server had heard of it"),
  common("cancelled-heard", "a request was given up while the server worked at it"),
  // Locks and evictions.
  common("revoke-crossed-request", "a lock was asked for while its revocation was under way"),
  common("locks-reported", "a member reported the locks it held to a new server"),
  common("recovery-without-two", "two members were evicted before the locks of a term were given out"),
  rare("evicted-commit-refused", "a member learned that it was evicted", ["error ERR_HOLDFAST_EVICTED"]),
  rare("entry-landed-after-eviction", "a journal entry landed after its member was evicted", [
    "journal entry landed after an eviction",
  ]),
  common("journal-replayed", "the journal of a dead member held items that no segment held"),
  rare("farewell-held", "a voter had to wait until it was dispensable"),
  // Fencing.
  common("confirmed-by-agent", "a fence agent confirmed the end of a member"),
  common("confirmed-by-process", "a look at its process confirmed the end of a member"),
  rare("not-confirmed", "a fence agent could not confirm the end of a member"),
  common("quarantine-released", "what a dead member held came back"),
  common("quarantine-alarm", "a server told that much of the volume is in quarantine"),
  // Storage.
  rare("node-torn", "a tree node was cut short", ["trap tree-node torn"]),
  rare("journal-torn", "a journal entry was cut short", ["trap journal torn"]),
  seldom("compaction-refused", "the result of a compaction was refused"),
  rare("compaction-failed", "a compaction could not be finished by its worker"),
  // Damage.
  common("bit-rot", "what stood on the device changed", damageOf("bit-rot")),
  rare("lost-write", "a write was acknowledged and not done", damageOf("lost-write")),
  rare("misdirected-write", "a write was done elsewhere", damageOf("misdirected-write")),
  common("misdirected-read", "a read returned another block", damageOf("misdirected-reads")),
  rare("stale-read", "a read returned what a block held before", damageOf("stale-reads")),
  rare("announcement-lost", "a candidate read back that its announcement was lost"),
  rare("super-mirrored", "one super block was damaged, and the other one served"),
  rare("damage-told", "somebody was told that data is damaged, instead of wrong data"),
];

/** How often a point was met. */
export interface CoverageCount extends CoveragePoint {
  readonly count: number;
}

/** Counts all points in the counters of runs. */
export function countCoverage(counters: Iterable<readonly [string, number]>): readonly CoverageCount[] {
  const counts = new Map(counters);
  return COVERAGE_POINTS.map((point) => {
    const { counters: names = [point.name] } = point;
    return { ...point, count: names.reduce((sum, name) => sum + (counts.get(name) ?? 0), 0) };
  });
}

/** The points that so many seeds had to meet and did not. */
export function missingPoints(counts: readonly CoverageCount[], seedCount: number): readonly CoverageCount[] {
  return counts.filter(({ count, frequency }) => count === 0 && seedCount >= REQUIRED_FROM_SEEDS[frequency]);
}

function common(name: string, what: string, counters?: readonly string[]): CoveragePoint {
  return { name, frequency: "common", what, ...(counters === undefined ? {} : { counters }) };
}

function rare(name: string, what: string, counters?: readonly string[]): CoveragePoint {
  return { ...common(name, what, counters), frequency: "rare" };
}

function seldom(name: string, what: string, counters?: readonly string[]): CoveragePoint {
  return { ...common(name, what, counters), frequency: "seldom" };
}

function damageOf(kind: string): readonly string[] {
  return ["super", "record", "mark", "node", "segment", "journal"].map((place) => `damage ${kind} ${place}`);
}
