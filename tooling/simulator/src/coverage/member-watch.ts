/*
 * Sees what members and servers go through, by what they log and by what the world does to them.
 */
import { HoldfastError } from "@holdfast/environment";
import { DEFAULT_MEMBER_TIMING } from "@holdfast/member";
import type { Counters } from "../scenario/counters.ts";
import type { SimulatedDisk } from "../world/disk.ts";
import type { SimulatedProcess } from "../world/process.ts";
import type { SimulatedWorld } from "../world/world.ts";
import type { ElectionWatch } from "./election-watch.ts";
import type { TrafficWatch } from "./traffic-watch.ts";

/** What it works with. */
export interface MemberWatchOptions {
  readonly world: SimulatedWorld;
  readonly disk: SimulatedDisk;
  readonly counters: Counters;
  readonly elections: ElectionWatch;
  readonly traffic: TrafficWatch;
}

/** The longest of a member's time-outs: that of its closing, and that behind which a server forgets its session. */
const LONGEST_WAIT_MS = Math.max(DEFAULT_MEMBER_TIMING.closeMs, DEFAULT_MEMBER_TIMING.session.forgetMs);

type Facts = Readonly<Record<string, unknown>>;

/** Members that are evicted by one server before it gives out locks: so many make a point. */
const MISSING_MANY = 2;

/** Events that are points by themselves. */
const POINTS: ReadonlyMap<unknown, string> = new Map([
  ["operation.repeated", "asked-again"],
  ["farewell.held", "farewell-held"],
  ["fence.not-confirmed", "not-confirmed"],
  ["quarantine.released", "quarantine-released"],
  ["quarantine.alarm", "quarantine-alarm"],
  ["compaction.refused", "compaction-refused"],
  ["compaction.dropped", "compaction-failed"],
  ["compaction.failed", "compaction-failed"],
  ["super.damaged", "super-mirrored"],
]);

const REFUSALS: ReadonlyMap<unknown, string> = new Map([
  ["EVICTED", "evicted-refused"],
  ["FORGOTTEN", "evicted-refused"],
  ["STALE_TERM", "lower-term-ignored"],
]);

const EVIDENCE: ReadonlyMap<unknown, string> = new Map([
  ["agent", "confirmed-by-agent"],
  ["process", "confirmed-by-process"],
]);

/** Counts what members and servers go through. */
export class MemberWatch {
  readonly #options: MemberWatchOptions;
  /** Evictions by each process that serves and has given out no locks yet. */
  readonly #evicted: Map<SimulatedProcess, number> = new Map();
  #wonCount = 0;
  #lastCommit: { readonly ms: number; readonly wonCount: number } | undefined;

  constructor(options: MemberWatchOptions) {
    this.#options = options;
  }

  /** Looks after a process from now on. */
  watch(process: SimulatedProcess): void {
    const { world, counters, traffic } = this.#options;
    traffic.watch(process.name);
    let pausedAt: { readonly ms: number; readonly wonCount: number } | undefined;
    process.onState((state) => {
      pausedAt = state === "paused" ? { ms: world.nowMs, wonCount: this.#wonCount } : undefined;
    });
    process.onResumed(() => {
      if (pausedAt === undefined || world.nowMs - pausedAt.ms <= DEFAULT_MEMBER_TIMING.leaseMs) return;
      counters.add("paused-past-lease");
      if (this.#wonCount > pausedAt.wonCount) counters.add("paused-past-election");
      if (world.nowMs - pausedAt.ms > LONGEST_WAIT_MS) counters.add("paused-past-everything");
    });
  }

  /** A process logged something. */
  heard(process: SimulatedProcess, facts: Facts): void {
    const { counters, traffic } = this.#options;
    const { event, term } = facts;
    const point = POINTS.get(event);
    if (point !== undefined) counters.add(point);
    this.#heardOfElections(facts);
    switch (event) {
      case "session.greeted":
        if (typeof term === "bigint") traffic.greeted(process.name, term);
        break;
      case "session.refused":
        this.#count(REFUSALS.get(facts["refusal"]));
        break;
      case "member.confirmed-dead":
        this.#count(EVIDENCE.get(facts["kind"]));
        break;
      case "server.opened":
        this.#evicted.set(process, 0);
        if (typeof term === "bigint") traffic.serves(process.name, term);
        break;
      case "member.evicted": {
        if (typeof facts["items"] === "number" && facts["items"] > 0) counters.add("journal-replayed");
        const count = this.#evicted.get(process);
        if (count !== undefined) this.#evicted.set(process, count + 1);
        break;
      }
      case "lock.recovery-finished":
        if ((this.#evicted.get(process) ?? 0) >= MISSING_MANY) counters.add("recovery-without-two");
        this.#evicted.delete(process);
        break;
      default:
    }
  }

  #heardOfElections({ event, rid, term, seq, adoptedTerm, adoptedSeq, err }: Facts): void {
    const { elections, counters } = this.#options;
    if (event === "commit.recorded" && typeof term === "bigint" && typeof seq === "bigint") {
      elections.confirmed(term, seq);
      this.#outlivesStall();
    }
    if (event === "server.opened" && typeof term === "bigint") elections.confirmed(term, 1n);
    if (event === "election.lost" && typeof rid === "bigint" && typeof term === "bigint")
      elections.lost(rid, term);
    if (event === "election.won" && typeof rid === "bigint" && typeof term === "bigint") {
      this.#wonCount += 1;
      if (typeof adoptedTerm === "bigint" && typeof adoptedSeq === "bigint")
        elections.won(rid, { term, adoptedTerm, adoptedSeq });
    }
    if (event === "server.ended") {
      elections.ended(err);
      if (err instanceof HoldfastError && err.code === "ERR_HOLDFAST_RECORD_WRITE")
        counters.add("server-stopped-by-device");
    }
    if (err instanceof HoldfastError && err.code === "ERR_HOLDFAST_ANNOUNCEMENT_LOST")
      counters.add("announcement-lost");
  }

  /** A commit is recorded: if a stall was over since the last one, and nobody was elected, the server outlived it. */
  #outlivesStall(): void {
    const { world, disk, counters } = this.#options;
    const { lastStall } = disk;
    const before = this.#lastCommit;
    this.#lastCommit = { ms: world.nowMs, wonCount: this.#wonCount };
    if (lastStall === undefined || before?.wonCount !== this.#wonCount) return;
    const isLong = lastStall.untilMs - lastStall.fromMs > DEFAULT_MEMBER_TIMING.quorum.heartbeatMs;
    if (isLong && before.ms <= lastStall.fromMs && lastStall.untilMs <= world.nowMs)
      counters.add("server-outlived-stall");
  }

  #count(point: string | undefined): void {
    if (point !== undefined) this.#options.counters.add(point);
  }
}
