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
