/*
 * Candidates and servers over one set of blocks, one step at a time, in an order that a tape of numbers decides.
 *
 * The faults are those of a shared disk: any process may pause for ever or crash, its write may land late, in part, or never; a read of
 * several blocks is not atomic, nor is a write of one. What must hold is asserted as it happens:
 * one winner per term, acknowledged commits form one chain, and no election fails on a disk that has only crashed.
 */
import type { BrokenRules } from "@holdfast/environment";
import {
  Commit,
  type CommitEffect,
  Election,
  type ElectionEffect,
  type IoEvent,
  type QuorumRegion,
  type WriteBlock,
} from "../src/index.ts";
import { Disk, regionOf } from "./disk.ts";

/** What happened on the way, so that a test can see that something did. */
export interface Story {
  elections: number;
  commits: number;
  deposed: number;
  lost: number;
  crashes: number;
  lateWrites: number;
  tornWrites: number;
}

const TERMS = 5;
const VOTERS = 3;
const COMMITS_MAX = 4;
/** Places where a write may be cut: inside the header, inside the payload, between sectors. */
const CUTS = [4, 20, 48, 66, 90, 340, 512, 2048] as const;

interface Process {
  readonly name: number;
  machine: Election | Commit;
  io: ElectionEffect | CommitEffect;
  /** Blocks of the read under way that have been read, by position. */
  readonly got: Map<number, Uint8Array>;
  isTorn: boolean;
  term: bigint;
  log: readonly number[];
  commitsLeft: number;
}

/** Plays a tape to its end. @throws Error when a promise was broken. */
export function play(tape: readonly number[], brokenRules: BrokenRules): Story {
  return new World(tape, brokenRules).run();
}

class World {
  readonly #tape: readonly number[];
  readonly #brokenRules: BrokenRules;
  readonly #region: QuorumRegion = { ...regionOf(TERMS), hintsCount: 0 };
  readonly #disk: Disk = new Disk(this.#region);
  readonly #processes: Process[] = [];
  readonly #orphans: WriteBlock[] = [];
  readonly #winners: Map<bigint, number> = new Map();
  readonly #story: Story = {
    elections: 0,
    commits: 0,
    deposed: 0,
    lost: 0,
    crashes: 0,
    lateWrites: 0,
    tornWrites: 0,
  };
  #position = 0;
  #acknowledged: readonly number[] = [];
  #names = 0;
  #commitNames = 10;

  constructor(tape: readonly number[], brokenRules: BrokenRules) {
    this.#tape = tape;
    this.#brokenRules = brokenRules;
  }

  run(): Story {
    for (let count = 0; count < VOTERS; count += 1) this.#processes.push(this.#newProcess());
    let current = 0;
    while (this.#position < this.#tape.length && this.#processes.length > 0) {
      if (this.#draw(5) === 0) current = this.#draw(this.#processes.length);
      const process = this.#processes[current % this.#processes.length];
      if (process === undefined) break;
      if (this.#orphans.length > 0 && this.#draw(6) === 0) this.#landOrphan();
      else if (this.#draw(40) === 0) this.#crash(process);
      else this.#step(process);
    }
    this.#judgeEnd();
    return this.#story;
  }

  #draw(below: number): number {
    const value = this.#tape[this.#position] ?? 0;
    this.#position += 1;
    return value % below;
  }

  #newProcess(): Process {
    this.#names += 1;
    const process: Process = {
      name: this.#names,
      machine: this.#newElection(this.#names),
      io: { type: "lost", term: 0n },
      got: new Map(),
      isTorn: false,
      term: 0n,
      log: [],
      commitsLeft: COMMITS_MAX,
    };
    this.#campaign(process);
    return process;
  }

  #newElection(name: number): Election {
    const claim = BigInt(name * 1000 + this.#position);
    return new Election({
      region: this.#region,
      rid: BigInt(name),
      claim,
      fromTerm: 1n,
      yieldAbove: undefined,
      brokenRules: this.#brokenRules,
    });
  }

  #campaign(process: Process): void {
    process.machine = this.#newElection(process.name);
    this.#take(process, process.machine.handle({ type: "start" }));
  }

  #crash(process: Process): void {
    this.#story.crashes += 1;
    if (process.io.type === "write-block") this.#orphans.push(process.io);
    this.#processes.splice(this.#processes.indexOf(process), 1, this.#newProcess());
  }

  /** A write of a dead process lands now: whole, in part, or not at all. */
  #landOrphan(): void {
    const index = this.#draw(this.#orphans.length);
    const [write] = this.#orphans.splice(index, 1);
    if (write === undefined) return;
    this.#story.lateWrites += 1;
    const fate = this.#draw(3);
    if (fate === 0) this.#disk.perform(write);
    if (fate === 1) {
      this.#tear(write);
      // The rest may follow, or not.
      this.#orphans.push(write);
    }
  }

  #step(process: Process): void {
    const { io } = process;
    switch (io.type) {
      case "write-block":
        if (!process.isTorn && this.#draw(3) === 0) {
          this.#tear(io);
          process.isTorn = true;
          return;
        }
        process.isTorn = false;
        this.#answer(process, this.#disk.perform(io));
        return;
      case "read-blocks":
        this.#readSome(process, io);
        return;
      case "elected":
        this.#win(process, io.term, [...io.adopted.payload]);
        return;
      case "lost":
        this.#story.lost += 1;
        this.#campaign(process);
        return;
      case "committed":
        this.#acknowledge(process);
        return;
      case "deposed":
        this.#story.deposed += 1;
        this.#campaign(process);
        return;
      case "failed":
        this.#fail(process, io.error);
        return;
    }
  }

  #tear(write: WriteBlock): void {
    this.#story.tornWrites += 1;
    const torn = this.#disk.at(write.address).slice();
    const cut = CUTS[this.#draw(CUTS.length)] ?? 512;
    if (this.#draw(2) === 0) torn.set(write.block.subarray(0, cut));
    else torn.set(write.block.subarray(cut), cut);
    this.#disk.blocks.set(write.address, torn);
  }

  #readSome(process: Process, io: Extract<ElectionEffect, { type: "read-blocks" }>): void {
    const addresses = io.ranges.flatMap(({ address, count }) =>
      Array.from({ length: count }, (_, index) => address + BigInt(index)),
    );
    const left = addresses.map((_, index) => index).filter((index) => !process.got.has(index));
    if (this.#draw(2) === 0) left.reverse();
    const count = this.#draw(3) === 0 ? 1 + this.#draw(left.length) : left.length;
    for (const index of left.slice(0, count)) process.got.set(index, this.#disk.at(addresses[index] ?? 0n));
    if (process.got.size < addresses.length) return;
    const blocks = addresses.map((_, index) => process.got.get(index));
    this.#answer(process, { type: "blocks-read", id: io.id, blocks });
  }

  #answer(process: Process, event: IoEvent): void {
    this.#take(process, process.machine.handle(event));
  }

  #take(process: Process, effects: readonly (ElectionEffect | CommitEffect)[]): void {
    const [effect] = effects;
    if (effect === undefined || effects.length !== 1) throw new Error("one effect at a time");
    process.io = effect;
    process.got.clear();
  }

  #win(process: Process, term: bigint, log: readonly number[]): void {
    this.#story.elections += 1;
    const other = this.#winners.get(term);
    if (other !== undefined) throw new Error(`term ${term} was won by ${other} and by ${process.name}`);
    this.#winners.set(term, process.name);
    process.term = term;
    process.log = log;
    process.commitsLeft = COMMITS_MAX;
    const { name } = process;
    process.machine = new Commit({
      region: this.#region,
      term,
      rid: BigInt(name),
      brokenRules: this.#brokenRules,
    });
    this.#commit(process);
  }

  #commit(process: Process): void {
    if (!(process.machine instanceof Commit)) throw new Error("only a server commits");
    process.commitsLeft -= 1;
    this.#commitNames += 1;
    process.log = [...process.log, this.#commitNames % 256];
    const payload = Uint8Array.from(process.log);
    this.#take(process, process.machine.handle({ type: "commit", payload, address: "a" }));
  }

  #acknowledge(process: Process): void {
    this.#story.commits += 1;
    const [short, long] = [process.log, this.#acknowledged].sort((a, b) => a.length - b.length);
    if (short === undefined || long === undefined || !isPrefix(short, long))
      throw new Error(`acknowledged logs fork: ${process.log.join(",")} and ${this.#acknowledged.join(",")}`);
    this.#acknowledged = long;
    if (process.commitsLeft > 0) this.#commit(process);
    else this.#campaign(process);
  }

  #fail(process: Process, error: Error & { readonly code: string }): void {
    if (error.code !== "ERR_HOLDFAST_TERMS_EXHAUSTED") throw error;
    this.#processes.splice(this.#processes.indexOf(process), 1);
  }

  /** Whoever comes next, undisturbed, finds everything that was acknowledged, or no term is left. */
  #judgeEnd(): void {
    const election = this.#newElection(255);
    const outcome = this.#disk.run<Exclude<ElectionEffect, { type: "read-blocks" | "write-block" }>>(
      election,
      election.handle({ type: "start" }),
    );
    if (outcome.type === "failed" && outcome.error.code === "ERR_HOLDFAST_TERMS_EXHAUSTED") return;
    if (outcome.type !== "elected") throw new Error(`an undisturbed election ended with ${outcome.type}`);
    if (!isPrefix(this.#acknowledged, [...outcome.adopted.payload]))
      throw new Error(
        `acknowledged ${this.#acknowledged.join(",")}, adopted ${outcome.adopted.payload.join(",")}`,
      );
  }
}

function isPrefix(short: readonly number[], long: readonly number[]): boolean {
  return short.every((value, index) => value === long[index]);
}
