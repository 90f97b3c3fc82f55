import type { KeyComplaint } from "../judge/linearizability.ts";

/** What a run can find wrong. */
export type ViolationType =
  /** The history of a key has no order: an acknowledged write was lost, or a read was stale. */
  | "not-linearizable"
  /** The search for an order was given up: nobody knows. */
  | "history-undecided"
  /** A write landed where its writer was not entitled to write. */
  | "landing"
  /** An exception or a rejection that nobody handled, an invariant that broke. */
  | "failure"
  /** A call was refused with an error that no fault explains. */
  | "unexpected-error"
  /** A transaction saw a part of another one. */
  | "not-atomic"
  /** A value came back that nobody can have written. */
  | "damaged-value"
  /** A session did a request twice or out of order, lost one, or gave the answer of another one. */
  | "session"
  /** After everything was healed, something did not finish. */
  | "no-progress"
  /** After everything was healed, there was not exactly one server. */
  | "servers"
  /** Two runs of one seed differ: something reached the world that no port handed in. */
  | "not-deterministic"
  /** The cluster's own inspection found something, e.g. a fork of the committed records. */
  | "inspection";

/** One thing that a run found wrong. */
export interface Violation {
  readonly type: ViolationType;
  readonly message: string;
}

/** What a complaint about the history of a key is. */
export function toViolation({ key, verdict }: KeyComplaint): Violation {
  switch (verdict.type) {
    case "unknown":
      return { type: "history-undecided", message: `key ${key}: given up after ${verdict.stepCount} steps` };
    case "violation": {
      const { operation, state, placedCount } = verdict;
      const what = operation.f === "read" ? `read that saw ${JSON.stringify(operation.out)}` : operation.f;
      const message =
        `key ${key}: call ${operation.id}, a ${what}, fits nowhere: ` +
        `after ${placedCount} operations the key was ${JSON.stringify(state)}`;
      return { type: "not-linearizable", message };
    }
  }
}
