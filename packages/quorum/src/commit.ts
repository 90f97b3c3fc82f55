/*
 * The commits of one term: rules E6 and E7.
 *
 * A record goes to copy 0, then, when that is durable, to copy 1: so both copies are never in danger at once. Halves
 * alternate: so the record before it stays whole. Then the check: whoever announced a later term before the record was
 * visible is seen, whoever does so afterwards sees the record. Only a commit whose check passed is committed; one that
 * meets a successor has an unknown outcome, and the server writes nothing more in this term.
 */
import { type BrokenRules, invariant } from "@holdfast/environment";
import {
  type BlocksRead,
  countIds,
  type IoEffect,
  type IoEvent,
  type NextId,
  type ReadBlocks,
} from "./block-reading.ts";
import { Check, type CheckEffect } from "./check.ts";
import { RecordWriteError } from "./errors.ts";
import { checkRecordFits, sealRecord } from "./record.ts";
import { halfOf, type QuorumRegion, recordBlock } from "./region.ts";

/** Settings of the commits of one term. */
export interface CommitConfig {
  readonly region: QuorumRegion;
  /** The term this member has won. */
  readonly term: bigint;
  /** This member. */
  readonly rid: bigint;
  readonly brokenRules: BrokenRules;
}

/** What the driver may tell it. */
export type CommitEvent =
  | { readonly type: "commit"; readonly payload: Uint8Array; readonly address: string }
  | IoEvent;

/** How a commit ends. */
export type CommitOutcome =
  /** The record counts, for ever. */
  | { readonly type: "committed"; readonly seq: bigint }
  /** A later term is announced: the outcome is unknown, and this was the last commit. */
  | { readonly type: "deposed"; readonly by: bigint }
  /** The device reported an error: the outcome is unknown, and this was the last commit. */
  | { readonly type: "failed"; readonly error: RecordWriteError };

/** What it asks of the driver. */
export type CommitEffect = IoEffect | CommitOutcome;

type Step =
  | { readonly type: "idle" }
  | {
      readonly type: "write";
      readonly block: bigint;
      readonly blocksLeft: readonly bigint[];
      readonly body: Body;
    }
  | { readonly type: "check"; readonly check: Check }
  | { readonly type: "over" };

type Body = Extract<CommitEvent, { type: "commit" }>;

/** The commits of one term, one at a time. */
export class Commit {
  readonly #config: CommitConfig;
  readonly #nextId: NextId = countIds();
  #seq = 0n;
  #step: Step = { type: "idle" };

  constructor(config: CommitConfig) {
    this.#config = config;
  }

  /**
   * Takes one event and returns the effects it causes, in the order they must happen.
   *
   * @throws RangeError when the payload or the address of a `commit` is too long; nothing has changed then.
   */
  handle(event: CommitEvent): readonly CommitEffect[] {
    switch (event.type) {
      case "commit":
        invariant(this.#step.type === "idle", "one record is in flight at a time, and none after the last");
        checkRecordFits(event);
        this.#seq += 1n;
        return this.#writeNext(this.#placesOf(this.#seq), event);
      case "block-written":
        invariant(this.#step.type === "write", "a record was being written");
        return this.#writeNext(this.#step.blocksLeft, this.#step.body);
      case "block-write-failed":
        return this.#fail(event.cause);
      case "blocks-read":
        return this.#afterRead(event);
    }
  }

  /** E6: where a record goes, in order. */
  #placesOf(seq: bigint): readonly bigint[] {
    const { region, term, brokenRules } = this.#config;
    if (brokenRules.has("one-record-half")) return [recordBlock(region, term, 0)];
    const half = BigInt(halfOf(seq));
    return [recordBlock(region, term, 0) + half, recordBlock(region, term, 1) + half];
  }

  #writeNext(blocks: readonly bigint[], body: Body): readonly CommitEffect[] {
    const [block, ...blocksLeft] = blocks;
    if (block === undefined) return this.#startCheck();
    this.#step = { type: "write", block, blocksLeft, body };
    const { region, term, rid } = this.#config;
    const { payload, address } = body;
    const record = { term, seq: this.#seq, writer: rid, address, payload };
    const sealed = sealRecord(record, { fsid: region.fsid, block });
    return [{ type: "write-block", id: this.#nextId(), address: block, block: sealed }];
  }

  #startCheck(): readonly CommitEffect[] {
    const { region, term, brokenRules } = this.#config;
    if (brokenRules.has("commit-check")) return this.#afterCheck([{ type: "confirmed" }]);
    const check = new Check({ region, term, brokenRules }, this.#nextId);
    this.#step = { type: "check", check };
    return this.#afterCheck(check.handle({ type: "start" }));
  }

  #afterRead(event: BlocksRead): readonly CommitEffect[] {
    invariant(this.#step.type === "check", "a check was under way");
    return this.#afterCheck(this.#step.check.handle(event));
  }

  #afterCheck(effects: readonly CheckEffect[]): readonly CommitEffect[] {
    return effects.map((effect): ReadBlocks | CommitOutcome => {
      switch (effect.type) {
        case "read-blocks":
          return effect;
        case "confirmed":
          this.#step = { type: "idle" };
          return { type: "committed", seq: this.#seq };
        case "deposed":
          this.#step = { type: "over" };
          return effect;
      }
    });
  }

  #fail(cause: unknown): readonly CommitEffect[] {
    invariant(this.#step.type === "write", "a record was being written");
    const { block } = this.#step;
    this.#step = { type: "over" };
    const error = new RecordWriteError({ term: this.#config.term, seq: this.#seq, block }, { cause });
    return [{ type: "failed", error }];
  }
}
