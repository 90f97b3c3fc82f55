/*
 * Histories of a cluster as its clients saw it: JSON lines that any outside checker can judge.
 *
 * One recorder outside the cluster writes them, in real-time order. An optional first line names the model; then each
 * operation is a call and at most one completion. Writing and reading share one validation, and it is strict: unknown
 * fields, unknown functions, a second call of one id, a completion without a call and empty histories are errors.
 */

/** A value that a history can hold. */
export type Scalar = string | number | boolean;

/** Which machine the history claims to be. */
export type HistoryModel = "kv" | "list" | "lock";

/** Everything a function may be called with. */
export interface CallArguments {
  /** Key; each is judged alone. */
  readonly k: string;
  readonly v?: Scalar;
  /** Expected value of a `cas`; null: absent. */
  readonly old?: Scalar | null;
  readonly by?: Scalar;
  readonly mode?: "ex" | "sh";
}

/** A client called a function. */
export interface CallEvent extends CallArguments {
  readonly e: "call";
  readonly id: number;
  /** Client; one outstanding call at a time. */
  readonly c: number;
  /** Function. */
  readonly f: string;
  /** Any unit, never going backwards. */
  readonly t?: number;
}

/** What a call may return. */
export type Output = Scalar | null | readonly Scalar[];

/** The client saw this result. */
export interface OkEvent {
  readonly e: "ok";
  readonly id: number;
  readonly out?: Output;
  readonly t?: number;
}

/** `fail`: the call certainly had no effect. `info`: nobody will ever know; the client is retired. */
export interface UnknownEvent {
  readonly e: "fail" | "info";
  readonly id: number;
  readonly t?: number;
}

/** One line of a history. */
export type HistoryEvent = CallEvent | OkEvent | UnknownEvent;

/** One call with what became of it. */
export interface HistoryOperation extends CallArguments {
  readonly id: number;
  readonly c: number;
  readonly f: string;
  /** Position of its call among the events. */
  readonly calledAt: number;
  /** Position of its completion; infinity when it has none or its outcome is unknown. */
  readonly returnedAt: number;
  readonly outcome: "ok" | "fail" | "info";
  readonly out: Output;
}

/** A validated history. */
export interface History {
  readonly model: HistoryModel;
  readonly note: string | undefined;
  readonly events: readonly HistoryEvent[];
  readonly operations: readonly HistoryOperation[];
}

/** A history that is not one. */
export class HistoryFormatError extends Error {
  /** Line of the text, from 1; 0 when the whole is at fault. */
  readonly line: number;

  constructor(line: number, message: string) {
    super(line === 0 ? message : `line ${line}: ${message}`);
    this.name = "HistoryFormatError";
    this.line = line;
  }
}
