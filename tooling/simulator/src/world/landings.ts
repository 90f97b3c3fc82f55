/*
 * The device oracle's hook: every write that reaches the medium is shown to a judge, whoever submitted it and
 * however late it comes.
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import type { SimulatedProcess } from "./process.ts";

/** One write, or one piece of a torn one, at the moment it lands. */
export interface LandingWrite {
  /** First block it touches. */
  readonly firstBlock: bigint;
  /** How many blocks it touches, at least in part. */
  readonly blockCount: number;
  /** Where it begins, bytes. */
  readonly offsetBytes: bigint;
  /** What lands; valid during the call. */
  readonly bytes: Uint8Array;
  /** Name of the incarnation that submitted it. */
  readonly processId: string;
  /** Who that incarnation is on the volume; undefined before it told. */
  readonly rid: bigint | undefined;
  /** Virtual time in milliseconds. */
  readonly timeMs: number;
}

/** Says what is wrong with a landing write, or undefined when it was entitled to land. */
export type LandingJudge = (write: LandingWrite) => string | undefined;

/** A landing write that its judge condemned. */
export interface LandingViolation {
  readonly processId: string;
  readonly firstBlock: bigint;
  readonly timeMs: number;
  readonly complaint: string;
}

/** After this many violations a run has told what it can. */
const VIOLATIONS_MAX = 100;

/** Asks the judge and keeps what it condemned. */
export class JudgedLandings {
  readonly violations: LandingViolation[] = [];
  #judge: LandingJudge | undefined;

  setJudge(judge: LandingJudge): void {
    this.#judge = judge;
  }

  /** Shows one landing write to the judge; returns its complaint. */
  judge(process: SimulatedProcess, offset: number, bytes: Uint8Array, timeMs: number): string | undefined {
    if (this.#judge === undefined) return undefined;
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((offset + bytes.length - 1) / BLOCK_BYTES);
    const complaint = this.#judge({
      firstBlock: BigInt(first),
      blockCount: last - first + 1,
      offsetBytes: BigInt(offset),
      bytes,
      processId: process.name,
      rid: process.rid,
      timeMs,
    });
    if (complaint !== undefined && this.violations.length < VIOLATIONS_MAX) {
      this.violations.push({ processId: process.name, firstBlock: BigInt(first), timeMs, complaint });
    }
    return complaint;
  }
}
