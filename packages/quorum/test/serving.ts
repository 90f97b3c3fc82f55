/*
 * A process that is elected and commits, as far as its writes reach: the fate of one of them is the test's to decide.
 */
import { NO_BROKEN_RULES } from "@holdfast/environment";
import {
  Commit,
  type CommitOutcome,
  Election,
  type ElectionOutcome,
  type IoEffect,
  type WriteBlock,
} from "../src/index.ts";
import type { Disk } from "./disk.ts";

/** What becomes of one write: it is done, or acknowledged otherwise; "stop": the process never gets further. */
export type Fate = (write: WriteBlock, disk: Disk) => "done" | "acknowledged" | "stop";

/** What a process does, and how far it came. */
export interface Reign {
  /** How its election ended; undefined: the process stopped first. */
  readonly election: ElectionOutcome | undefined;
  /** How its last commit ended; undefined: there was none, or the process stopped first. */
  readonly commit: CommitOutcome | undefined;
  /** Everything that is acknowledged so far: what was adopted is, as soon as a commit on top of it is. */
  readonly acknowledged: readonly number[];
  /** All its writes, in order, the one at which it stopped included. */
  readonly writes: readonly WriteBlock[];
}

/** A process: its name, and what it commits one after another. */
export interface ServingPlan {
  readonly rid: bigint;
  readonly commits: readonly number[];
  /** True: it resigns with the last of them. */
  readonly resigns?: boolean;
  /** Called before a commit, with the number of those behind it. */
  readonly between?: (done: number) => void;
}

const PROCEED: Fate = () => "done";

/**
 * Lets a process run for the server's role and commit.
 *
 * @param acknowledged - What was acknowledged before it.
 */
export function serve(
  disk: Disk,
  plan: ServingPlan,
  acknowledged: readonly number[],
  fate: Fate = PROCEED,
): Reign {
  const writes: WriteBlock[] = [];
  const { region } = disk;
  const { rid } = plan;
  const brokenRules = NO_BROKEN_RULES;
  const yieldAbove = undefined;
  const election = new Election({ region, rid, claim: rid * 1000n, fromTerm: 1n, yieldAbove, brokenRules });
  const outcome = run<ElectionOutcome>(election, election.handle({ type: "start" }));
  let reign: Reign = { election: outcome, commit: undefined, acknowledged, writes };
  if (outcome?.type !== "elected") return reign;
  let log = [...outcome.adopted.payload];
  const commit = new Commit({ region, term: outcome.term, rid, brokenRules });
  for (const [index, entry] of plan.commits.entries()) {
    plan.between?.(index);
    log = [...log, entry];
    const address = plan.resigns === true && index === plan.commits.length - 1 ? "" : "a";
    const event = { type: "commit", payload: Uint8Array.from(log), address } as const;
    const ended = run<CommitOutcome>(commit, commit.handle(event));
    reign = { ...reign, commit: ended };
    if (ended?.type !== "committed") return reign;
    reign = { ...reign, acknowledged: log };
  }
  plan.between?.(plan.commits.length);
  return reign;

  function run<Outcome extends { readonly type: string }>(
    machine: { handle(event: ReturnType<Disk["perform"]>): readonly (IoEffect | Outcome)[] },
    first: readonly (IoEffect | Outcome)[],
  ): Outcome | undefined {
    let [effect] = first;
    for (;;) {
      if (effect === undefined) throw new Error("one effect at a time");
      if (isWrite(effect)) {
        writes.push(effect);
        const what = fate(effect, disk);
        if (what === "stop") return undefined;
        if (what === "done") disk.perform(effect);
        [effect] = machine.handle({ type: "block-written", id: effect.id });
      } else if (isRead(effect)) [effect] = machine.handle(disk.answer(effect));
      else return effect;
    }
  }
}

function isWrite<Outcome extends { readonly type: string }>(
  effect: IoEffect | Outcome,
): effect is Extract<IoEffect, WriteBlock> {
  return effect.type === "write-block";
}

function isRead<Outcome extends { readonly type: string }>(
  effect: IoEffect | Outcome,
): effect is Extract<IoEffect, { type: "read-blocks" }> {
  return effect.type === "read-blocks";
}
