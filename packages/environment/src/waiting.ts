/*
 * Small tools for waiting without a clock of one's own.
 */
import { CancelledError } from "./holdfast-error.ts";
import type { Clock } from "./ports.ts";

/** A promise with its two ends in hand. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** Makes a promise that somebody else settles; settling twice does nothing. */
export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = nothing;
  let reject: (error: unknown) => void = nothing;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/**
 * Resolves after `ms` milliseconds of `clock`.
 *
 * @throws {@link CancelledError} when `signal` aborts first.
 */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true)
    return Promise.reject(new CancelledError("the wait", { cause: signal.reason }));
  const done = deferred<void>();
  const cancelTimer = clock.at(clock.now() + ms, () => {
    signal?.removeEventListener("abort", onAbort);
    done.resolve();
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  return done.promise;

  function onAbort(): void {
    cancelTimer();
    done.reject(new CancelledError("the wait", { cause: signal?.reason }));
  }
}

/** Runs tasks strictly one after another, in the order they were given. A failed task does not stop the next. */
export class Mutex {
  #tail: Promise<void> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.then(nothing, nothing);
    return result;
  }
}

function nothing(): void {}
