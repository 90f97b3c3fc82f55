import { HoldfastError } from "@holdfast/environment";

/** Codes of {@link CorruptionError}. */
export type CorruptionErrorCode =
  | "ERR_HOLDFAST_RECORD_CORRUPT"
  | "ERR_HOLDFAST_ANNOUNCEMENT_LOST"
  | "ERR_HOLDFAST_TERMS_FOREIGN";

/**
 * The region holds, or does, what no crash can explain. Elections stop: going on could bring back an older state.
 *
 * `ERR_HOLDFAST_RECORD_CORRUPT`: both copies of a record that could be the newest are damaged.
 * `ERR_HOLDFAST_ANNOUNCEMENT_LOST`: a write that the device acknowledged is not there.
 * `ERR_HOLDFAST_TERMS_FOREIGN`: the term slots are not this volume's, or not of this generation, any more.
 */
export class CorruptionError extends HoldfastError<CorruptionErrorCode, { readonly term: bigint }> {
  constructor(code: CorruptionErrorCode, message: string, term: bigint) {
    super(code, "corruption", message, { term });
  }
}

/** Every term has been used; only renewing the term slots gives new ones. */
export class TermsExhaustedError extends HoldfastError<
  "ERR_HOLDFAST_TERMS_EXHAUSTED",
  { readonly termsMax: number }
> {
  /** @param termsMax - How many there are between two renewals. */
  constructor(termsMax: number) {
    super(
      "ERR_HOLDFAST_TERMS_EXHAUSTED",
      "usage",
      `all ${termsMax} terms of this volume are used; close or fence every member, then run "holdfast renew"`,
      { termsMax },
    );
  }
}

/**
 * A later term is announced, or cannot be ruled out: this server is none any more, for good.
 *
 * The outcome of a commit that ends so is unknown; the next server knows it.
 */
export class DeposedError extends HoldfastError<
  "ERR_HOLDFAST_DEPOSED",
  { readonly term: bigint; readonly by: bigint }
> {
  constructor(term: bigint, by: bigint) {
    super("ERR_HOLDFAST_DEPOSED", "fenced", `the server of term ${term} was deposed by term ${by}`, {
      term,
      by,
    });
  }
}

/** A commit record could not be written. Its outcome is unknown, and this server may not write another. */
export class RecordWriteError extends HoldfastError<
  "ERR_HOLDFAST_RECORD_WRITE",
  { readonly term: bigint; readonly seq: bigint; readonly block: bigint }
> {
  constructor(
    facts: { readonly term: bigint; readonly seq: bigint; readonly block: bigint },
    options?: ErrorOptions,
  ) {
    const message = `record ${facts.seq} of term ${facts.term} could not be written to block ${facts.block}`;
    super("ERR_HOLDFAST_RECORD_WRITE", "io", message, facts, options);
  }
}

/**
 * The device has not completed a record or a check in time. This server is none any more, and touches its term no more; the
 * outcome of a commit that ends so is unknown. Others take over, this process may do so too when the device answers again.
 */
export class DeviceStalledError extends HoldfastError<
  "ERR_HOLDFAST_DEVICE_STALLED",
  { readonly term: bigint; readonly stallMs: number }
> {
  constructor(term: bigint, stallMs: number) {
    const message = `a request to the device had no answer for ${stallMs} ms: the server of term ${term} makes room for another one`;
    super("ERR_HOLDFAST_DEVICE_STALLED", "io", message, { term, stallMs });
  }
}

/** A candidate could read no block of the term slots; it claimed nothing, and may try again later. */
export class SplitterReadError extends HoldfastError<
  "ERR_HOLDFAST_SPLITTER_READ",
  { readonly term: bigint }
> {
  constructor(term: bigint) {
    const message = `the device let no block of the terms from ${term} on be read`;
    super("ERR_HOLDFAST_SPLITTER_READ", "retry", message, { term });
  }
}

/** A leader has resigned, and is asked to go on. */
export class ResignedError extends HoldfastError<"ERR_HOLDFAST_RESIGNED", { readonly term: bigint }> {
  constructor(term: bigint) {
    const message = `this process has resigned the leadership with token ${term}; run again to get a new one`;
    super("ERR_HOLDFAST_RESIGNED", "usage", message, { term });
  }
}

/** Codes of {@link ElectionDeviceError}. */
export type ElectionDeviceErrorCode =
  | "ERR_HOLDFAST_ELECTION_EXISTS"
  | "ERR_HOLDFAST_ELECTION_MISSING"
  | "ERR_HOLDFAST_ELECTION_TOO_SMALL"
  | "ERR_HOLDFAST_RENEWAL_INTERRUPTED";

/** A device that cannot be used for an election as it was meant. */
export class ElectionDeviceError extends HoldfastError<ElectionDeviceErrorCode, { readonly device: string }> {
  constructor(code: ElectionDeviceErrorCode, message: string, device: string) {
    super(code, "usage", message, { device });
  }
}

/** A candidate could not write a splitter block; it did not win, and may try again later. */
export class SplitterWriteError extends HoldfastError<
  "ERR_HOLDFAST_SPLITTER_WRITE",
  { readonly term: bigint; readonly block: bigint }
> {
  constructor(facts: { readonly term: bigint; readonly block: bigint }, options?: ErrorOptions) {
    const message = `the claim on term ${facts.term} could not be written to block ${facts.block}`;
    super("ERR_HOLDFAST_SPLITTER_WRITE", "retry", message, facts, options);
  }
}
