/** A broken invariant: a bug in this program. Nobody handles it; the process ends. */
export class InvariantError extends Error {
  constructor(message: string) {
    super(`invariant broken: ${message}`);
    this.name = "InvariantError";
  }
}

/**
 * States what must be true here.
 *
 * @throws {@link InvariantError} when it is not.
 */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
