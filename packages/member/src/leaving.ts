/*
 * Leaving takes steps that wait for others. Each is named, so that whoever waits is told for what, and all together have a
 * limit, so that nobody waits for ever (reference: scoutfs F10).
 */
import { CancelledError, type Clock, deferred, HoldfastError, type Logger } from "@holdfast/environment";

/** Closing took longer than it may. */
export class CloseTimeoutError extends HoldfastError<
  "ERR_HOLDFAST_CLOSE_TIMEOUT",
  { readonly step: string; readonly waitedMs: number }
> {
  constructor(step: string, waitedMs: number) {
    super(
      "ERR_HOLDFAST_CLOSE_TIMEOUT",
      "retry",
      `closing the volume waited ${waitedMs} ms and came as far as "${step}": this member leaves without a word; what was acknowledged stays, and others replay it`,
      { step, waitedMs },
    );
  }
}

/** A part of leaving. */
export interface LeavingStep {
  /** What is waited for; stands in the log. */
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** How long leaving may take, and who is told. */
export interface LeavingLimits {
  readonly clock: Clock;
  readonly log: Logger;
  readonly waitMs: number;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
  /** Facts for the log: whom this member waits for. */
  readonly facts: () => object;
}

/** A wait is reported so often. */
const REPORT_MS = 2000;

/**
 * Does one step after another.
 *
 * @throws {@link CloseTimeoutError} after `waitMs`; {@link CancelledError} when `signal` aborts; what a step throws. A step
 *   that is under way goes on then, and nobody hears of it.
 */
export async function leaveInOrder(steps: readonly LeavingStep[], limits: LeavingLimits): Promise<void> {
  const { clock, log, waitMs, signal, facts } = limits;
  const since = clock.now();
  const over = deferred<never>();
  over.promise.catch(() => {});
  let current = "";
  const waitedMs = (): number => Math.round(clock.now() - since);
  const cancelLimit = clock.at(since + waitMs, () => over.reject(new CloseTimeoutError(current, waitedMs())));
  const onAbort = (): void =>
    over.reject(new CancelledError("closing the volume", { cause: signal?.reason }));
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  let cancelReport = armReport();
  try {
    for (const { name, run } of steps) {
      current = name;
      await Promise.race([over.promise, run()]);
    }
  } finally {
    cancelLimit();
    cancelReport();
    signal?.removeEventListener("abort", onAbort);
  }

  function armReport(): () => void {
    return clock.at(clock.now() + REPORT_MS, () => {
      log.warn(
        { event: "member.leave-waits", step: current, waitedMs: waitedMs(), ...facts() },
        "leaving the volume waits",
      );
      cancelReport = armReport();
    });
  }
}
