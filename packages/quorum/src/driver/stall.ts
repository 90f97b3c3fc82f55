/*
 * How a device that does not answer is noticed.
 *
 * The limit is counted in slices, each of them a timer of its own. A process that was paused finds its timers due and its I/O
 * complete at the same moment, and nobody says which it handles first; it loses one slice then, not the whole limit.
 */
import type { Clock } from "@holdfast/environment";
import { deferred } from "@holdfast/environment";

const SLICES = 4;

/** When a task counts as stalled, and what that means. */
export interface StallLimit {
  readonly limitMs: number;
  readonly clock: Clock;
  /** Called once, when the task has stalled. */
  readonly onStall: () => Error;
}

/**
 * Waits for a task, not for ever. What it does after its time is ignored, an error of it too: the first one has been told.
 *
 * @throws What the task throws, or what `onStall` returns.
 */
export function unlessStalled<T>(task: Promise<T>, { limitMs, clock, onStall }: StallLimit): Promise<T> {
  const outcome = deferred<T>();
  let slicesLeft = SLICES;
  let cancelTimer = armSlice();
  task.then(
    (value) => {
      cancelTimer();
      outcome.resolve(value);
    },
    (error: unknown) => {
      cancelTimer();
      outcome.reject(error);
    },
  );
  return outcome.promise;

  function armSlice(): () => void {
    return clock.at(clock.now() + limitMs / SLICES, () => {
      slicesLeft -= 1;
      if (slicesLeft > 0) cancelTimer = armSlice();
      else outcome.reject(onStall());
    });
  }
}
