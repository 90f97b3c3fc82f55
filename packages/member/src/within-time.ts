import { type Clock, deferred } from "@holdfast/environment";

/** Waits for `work`, but no longer than `ms`; false: it had not ended then, and goes on. Its error is passed on. */
export async function withinTime(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const isDone = deferred<boolean>();
  const cancel = clock.at(clock.now() + ms, () => isDone.resolve(false));
  work.then(
    () => isDone.resolve(true),
    (error: unknown) => isDone.reject(error),
  );
  try {
    return await isDone.promise;
  } finally {
    cancel();
  }
}
