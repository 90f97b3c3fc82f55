/*
 * Runs of blocks, and whether some of them cover others.
 */

/** A run of blocks. */
export interface BlockRun {
  /** First block. */
  readonly start: bigint;
  readonly lengthBlocks: number;
}

/** The block behind a run. */
export function endOf(run: BlockRun): bigint {
  return run.start + BigInt(run.lengthBlocks);
}

/** The first block of `run` that is in none of `runs`; undefined when they cover it. */
export function firstOutside(run: BlockRun, runs: readonly BlockRun[]): bigint | undefined {
  let at = run.start;
  const end = endOf(run);
  while (at < end) {
    const around = runs.find((one) => one.start <= at && endOf(one) > at);
    if (around === undefined) return at;
    at = endOf(around);
  }
  return undefined;
}

/** True if two runs have a block in common. */
export function overlap(a: BlockRun, b: BlockRun): boolean {
  return a.start < endOf(b) && b.start < endOf(a);
}
