/** What every fixture of a suite has in common: a plain object, whose functions need no `this`. */
export interface Fixture {
  /**
   * Waits for a promise of the port under test. A real port needs nothing but waiting; a simulated one runs
   * its world until the promise has settled.
   */
  readonly settle: <T>(promise: Promise<T>) => Promise<T>;
  /** Releases what the fixture holds; called once, after the test. */
  readonly dispose: () => Promise<void>;
}

/** Makes a fresh fixture for one test. */
export type FixtureFactory<F extends Fixture> = () => F | Promise<F>;

/** `settle` of a real port. */
export function settleByWaiting<T>(promise: Promise<T>): Promise<T> {
  return promise;
}

/** Runs the body of a test on a fresh fixture and disposes of it, whatever happens. */
export async function withFixture<F extends Fixture>(
  factory: FixtureFactory<F>,
  body: (fixture: F) => Promise<void>,
): Promise<void> {
  const fixture = await factory();
  try {
    await body(fixture);
  } finally {
    await fixture.dispose();
  }
}

/** `length` bytes that differ from place to place and from `salt` to `salt`; none is zero. */
export function pattern(length: number, salt: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index += 1) {
    const mixed = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(salt + 1, 0x85ebca6b);
    bytes[index] = 1 + ((mixed >>> 13) % 255);
  }
  return bytes;
}

/** True when the two hold the same bytes; a matcher that prints megabytes helps nobody. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
