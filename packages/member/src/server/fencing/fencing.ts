/*
 * What becomes of the blocks of members that are no members any more (reference: reliability F4, F7, scoutfs Q12–Q15).
 *
 *   1. Evidence is looked for: the process is gone on this host, or the fence agent says so, or an operator does. Nobody waits
 *      for it but whoever wants the blocks; without an answer it is looked for again, at growing intervals.
 *   2. Evidence is committed.
 *   3. What the quarantine holds of that owner is released; at last the owner is forgotten, evidence and all.
 *
 * One search and one release per owner at a time. A server that ends in the middle is followed by one that finds the owner
 * still there, and goes on where the committed state is.
 */
import {
  type BrokenRules,
  type Clock,
  type Fence,
  type FenceAgent,
  type FenceAnswer,
  type Logger,
  Mutex,
  type Processes,
} from "@holdfast/environment";
import { canJudge, isProvenGone, type ProcessRecord } from "../../volume/process-record.ts";
import type { Committer } from "../committer.ts";
import { Deadlines } from "../deadlines.ts";
import { NOBODY } from "../volume-trees.ts";
import { type Evidence, type EvidenceKind, type OwnerRecord, wallTime } from "./owner-record.ts";
import { type ReleaseStep, releaseSome } from "./release.ts";

/** What fencing needs. */
export interface FencingOptions {
  /** The server's own member, for people. */
  readonly name: string;
  readonly process: ProcessRecord;
  readonly processes: Processes | undefined;
  readonly agent: FenceAgent | undefined;
  readonly brokenRules: BrokenRules;
  readonly clock: Clock;
  readonly committer: Committer;
  /** Work that nobody waits for failed. */
  readonly onFatal: (error: unknown) => void;
  readonly log: Logger;
}

/** First wait before evidence is looked for again, */
const RETRY_MS = 500;

/** the longest one while an agent must be asked, */
const AGENT_RETRY_MAX_MS = 300_000;

/** and the longest one while a look at a process suffices. */
const PROCESS_RETRY_MAX_MS = 10_000;

/** Agents that run at a time: each is a process of its own, for half a minute at worst. */
const AGENTS_MAX = 4;

/** Nodes dropped elsewhere after which a sweep is worth its walk through the branches of the trees. */
const SWEEP_AFTER_NODES = 64;

/** Looks for evidence and releases blocks. */
export class Fencing {
  readonly #options: FencingOptions;
  /** Owners whose evidence is being looked for. */
  readonly #searching: Set<bigint> = new Set();
  /** Searches without a result, by owner. */
  readonly #attempts: Map<bigint, number> = new Map();
  /** What the agent said last, where it did not confirm. */
  readonly #problems: Map<bigint, string> = new Map();
  readonly #retries: Deadlines;
  readonly #releasing: Mutex = new Mutex();
  /** Agents at work. */
  readonly #agents: Set<Fence> = new Set();
  #isClosed = false;
  #isSweeping = false;

  constructor(options: FencingOptions) {
    this.#options = options;
    this.#retries = new Deadlines(options.clock, (rid) => this.look(rid));
  }

  /** Takes up what former servers left: looks at each owner, and sweeps what trees may have dropped. */
  async open(): Promise<void> {
    await this.#whileOpen(async () => {
      const owners = await this.#options.committer.read((trees) => trees.members.owners());
      for (const rid of owners.keys()) this.look(rid);
      await this.#sweep();
    });
  }

  /** Somebody is no member any more: looks for evidence, in the background. */
  look(rid: bigint): void {
    if (!this.#searching.has(rid) && !this.#isClosed) this.#inBackground(this.#search(rid));
  }

  /** Commits evidence, unless there is some, and releases the owner's blocks if it is no member. False when it is no owner. */
  async confirm(rid: bigint, evidence: Evidence): Promise<boolean> {
    const { committer, log } = this.#options;
    const owner = await committer.mutate(async (trees) => {
      const known = await trees.members.owner(rid);
      if (known?.evidence.kind === "none") await trees.members.putOwner(rid, { ...known, evidence });
      return known;
    });
    if (owner === undefined) return false;
    if (owner.evidence.kind === "none")
      log.info({ event: "member.confirmed-dead", rid, ...evidence }, "a member will never write again");
    await this.#release(rid);
    return true;
  }

  /** Evidence of a kind, as of now. */
  evidence(kind: EvidenceKind, by: string = this.#options.name): Evidence {
    return { kind, by, atMs: wallTime(this.#options.clock.wallMs()) };
  }

  /** What the agent said last of an owner; empty when it confirmed, or was not asked. */
  problemOf(rid: bigint): string {
    return this.#problems.get(rid) ?? "";
  }

  /** A commit is recorded, after which trees have dropped so many nodes elsewhere. */
  recorded(droppedNodes: number): void {
    if (droppedNodes >= SWEEP_AFTER_NODES && !this.#isSweeping && !this.#isClosed)
      this.#inBackground(this.#sweep());
  }

  /** Looks for nothing any more; agents that run are ended. */
  close(): void {
    this.#isClosed = true;
    this.#retries.close();
    for (const { cancel } of this.#agents) cancel();
  }

  async #search(rid: bigint): Promise<void> {
    this.#searching.add(rid);
    try {
      const owner = await this.#options.committer.read(async (trees) =>
        (await trees.members.get(rid)) === undefined ? trees.members.owner(rid) : undefined,
      );
      // A member that is being evicted is looked at when that is done.
      if (owner === undefined || this.#isClosed) return;
      if (owner.evidence.kind !== "none") return await this.#release(rid);
      const kind = await this.#find(rid, owner);
      if (this.#isClosed) return;
      if (kind === "none") this.#searchLater(rid, owner);
      else if (kind === "busy") this.#retries.arm(rid, RETRY_MS);
      else await this.confirm(rid, this.evidence(kind));
    } finally {
      this.#searching.delete(rid);
    }
  }

  async #find(rid: bigint, owner: OwnerRecord): Promise<EvidenceKind | "busy"> {
    const { processes, process, agent, brokenRules } = this.#options;
    if (brokenRules.has("evidence-before-release")) return "process";
    if (await isProvenGone(processes, process, owner.process)) return "process";
    if (agent === undefined || this.#isClosed) return "none";
    // Who could not be asked about has not been refused: its turn comes soon.
    if (this.#agents.size === AGENTS_MAX) return "busy";
    const { rid: named, isConfirmed, detail } = await this.#ask(agent, rid, owner);
    if (isConfirmed && named === rid) return "agent";
    const problem = isConfirmed ? `it answered for ${named.toString(16)}` : detail;
    this.#problems.set(rid, problem.slice(0, PROBLEM_LENGTH_MAX));
    if (!this.#isClosed)
      this.#options.log.warn(
        { event: "fence.not-confirmed", rid, reason: problem },
        "the fence agent did not confirm a member's end: its blocks stay in quarantine",
      );
    return "none";
  }

  async #ask(agent: FenceAgent, rid: bigint, { address, process }: OwnerRecord): Promise<FenceAnswer> {
    const fence = agent.fence({ rid, address, process, reason: FENCE_REASON });
    this.#agents.add(fence);
    try {
      return await fence.answer;
    } finally {
      this.#agents.delete(fence);
    }
  }

  #searchLater(rid: bigint, owner: OwnerRecord): void {
    const { agent, process, processes } = this.#options;
    const canLook = processes !== undefined && canJudge(process, owner.process);
    // Then only an operator can tell.
    if (agent === undefined && !canLook) return;
    const attempts = this.#attempts.get(rid) ?? 0;
    this.#attempts.set(rid, attempts + 1);
    const maxMs = agent === undefined ? PROCESS_RETRY_MAX_MS : AGENT_RETRY_MAX_MS;
    this.#retries.arm(rid, Math.min(RETRY_MS * 2 ** Math.min(attempts, 16), maxMs));
  }

  /** Frees what nobody can write to any more, and forgets the owner. */
  #release(rid: bigint): Promise<void> {
    return this.#releasing.run(async () => {
      const { committer, log } = this.#options;
      const reached = await committer.read((trees) => trees.reachedElsewhere());
      const before = committer.committed.quarantine.blocks;
      let from: bigint | undefined = 0n;
      while (from !== undefined && !this.#isClosed) {
        const step: ReleaseStep = { owner: rid, reached, from };
        from = await committer.mutate(async (trees): Promise<bigint | undefined> => {
          const owner = await trees.members.owner(rid);
          const isMember = (await trees.members.get(rid)) !== undefined;
          if (owner === undefined || owner.evidence.kind === "none" || isMember) return undefined;
          const next = await releaseSome(trees, step);
          if (next === undefined && !(await trees.isQuarantined(rid))) await trees.members.removeOwner(rid);
          return next;
        });
      }
      this.#attempts.delete(rid);
      this.#problems.delete(rid);
      const blocks = before - committer.committed.quarantine.blocks;
      if (blocks > 0) log.info({ event: "quarantine.released", rid, blocks }, "quarantined blocks came back");
      await this.#releaseRetained(reached);
    });
  }

  async #sweep(): Promise<void> {
    this.#isSweeping = true;
    try {
      await this.#releasing.run(async () => {
        const reached = await this.#options.committer.read((trees) => trees.reachedElsewhere());
        await this.#releaseRetained(reached);
      });
    } finally {
      this.#isSweeping = false;
    }
  }

  /** Frees nodes of former servers that trees reach no more. */
  async #releaseRetained(reached: readonly bigint[]): Promise<void> {
    let from: bigint | undefined = 0n;
    while (from !== undefined && !this.#isClosed) {
      const step: ReleaseStep = { owner: NOBODY, reached, from };
      from = await this.#options.committer.mutate((trees) => releaseSome(trees, step));
    }
  }

  #inBackground(work: Promise<void>): void {
    this.#whileOpen(() => work).catch((error: unknown) => this.#options.onFatal(error));
  }

  /** What fails because the reign is over has not failed: the next server does it. */
  async #whileOpen(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#isClosed) throw error;
    }
  }
}

/** What an agent is told. */
const FENCE_REASON = "it left without farewell, and may still write";

/** Longest word of an agent that a status carries, in characters. */
const PROBLEM_LENGTH_MAX = 255;
