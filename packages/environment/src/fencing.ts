/*
 * What may confirm that a process will never write again: its own host, or an agent that can cut it off.
 *
 * Neither is needed to go on without a silent member, only to use its blocks again. Silence is never an answer: both
 * ports say yes only when they know.
 */
import type { Cancel } from "./ports.ts";

/** A process as its host knows it, unlike every other process that ever ran there. */
export interface ProcessIdentity {
  /** Name of the host, for people. */
  readonly hostName: string;
  /** New at each start of the host's kernel; empty when it is not known. */
  readonly bootId: string;
  /** Whose process ids and ticks these are: containers of one kernel may count on their own. 0 when not known. */
  readonly namespace: bigint;
  /** 0 when not known. */
  readonly pid: number;
  /** When it started, in the kernel's ticks since its own start: tells a process from a later one with its id. */
  readonly startTime: bigint;
}

/** A process of which nothing is known. */
export const UNKNOWN_PROCESS: ProcessIdentity = {
  hostName: "",
  bootId: "",
  namespace: 0n,
  pid: 0,
  startTime: 0n,
};

/** Looks at the processes of this host. */
export interface Processes {
  /** This process. */
  readonly own: ProcessIdentity;
  /**
   * True if no thread of that process runs any more. False when it runs, or when it cannot be told, as for a process of another
   * host, boot or namespace. Harms nobody.
   */
  isGone(process: ProcessIdentity): Promise<boolean>;
}

/** Whom an agent is to fence. */
export interface FenceTarget {
  readonly rid: bigint;
  /** Where it listened; empty without an address. */
  readonly address: string;
  readonly process: ProcessIdentity;
  /** Why, for people. */
  readonly reason: string;
}

/** What an agent says. */
export interface FenceAnswer {
  /** Whom the answer is for. */
  readonly rid: bigint;
  /** True: this member can never write to the volume again. */
  readonly isConfirmed: boolean;
  /** For people. */
  readonly detail: string;
}

/** An agent at work. */
export interface Fence {
  /** Resolves when the agent knows, or with a refusal when it does not within its time. Never rejects. */
  readonly answer: Promise<FenceAnswer>;
  /** Ends the agent; the answer is a refusal then. */
  readonly cancel: Cancel;
}

/** Cuts members off from the volume. Asking again about the same member is harmless. */
export interface FenceAgent {
  /** Begins to fence a member. */
  fence(target: FenceTarget): Fence;
}
