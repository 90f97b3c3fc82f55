/*
 * A run: input number i is made from (seed, i) alone, so any of them can be made again without those before it, and
 * several processes can share a run.
 */
import { SeededRandom } from "@holdfast/memory-ports";
import { mutate } from "./mutator.ts";
import type { FuzzTarget } from "./target.ts";

/** One input of a run. */
export interface FuzzInput {
  readonly target: FuzzTarget;
  readonly bytes: Uint8Array;
  readonly entropy: number;
}

/** Something that code did and must not do. */
export interface Finding {
  readonly target: string;
  /** Number of the input in the run. */
  readonly number: number;
  readonly message: string;
  readonly bytes: Uint8Array;
}

/** What a part of a run came to, by target. */
export type Verdicts = Map<string, { accepted: number; refused: number }>;

/** Makes the inputs of a run. */
export class InputSource {
  readonly #targets: readonly FuzzTarget[];
  readonly #seed: number;
  readonly #weightSum: number;

  constructor(targets: readonly FuzzTarget[], seed: number) {
    this.#targets = targets;
    this.#seed = seed;
    this.#weightSum = targets.reduce((sum, { weight }) => sum + weight, 0);
  }

  /** Input `number`, from 0. */
  input(number: number): FuzzInput {
    const random = new SeededRandom(Math.imul(this.#seed ^ number, 0x9e37_79b1) ^ (number >>> 7));
    const entropy = random.u32();
    const target = this.#drawn((random.u32() / 2 ** 32) * this.#weightSum);
    return { target, entropy, bytes: mutate(random, target.seeds, target.isFixedLength) };
  }

  #drawn(draw: number): FuzzTarget {
    let rest = draw;
    for (const target of this.#targets) {
      rest -= target.weight;
      if (rest < 0) return target;
    }
    return this.#targets[0] as FuzzTarget;
  }
}

/** Feeds one input and counts its verdict; what the code does wrong is returned, not thrown. */
export async function feedOne(
  source: InputSource,
  number: number,
  verdicts: Verdicts,
): Promise<Finding | undefined> {
  const { target, bytes, entropy } = source.input(number);
  const original = bytes.slice();
  try {
    const pending = target.feed(bytes, entropy);
    const verdict = typeof pending === "string" ? pending : await pending;
    let counts = verdicts.get(target.name);
    if (counts === undefined) verdicts.set(target.name, (counts = { accepted: 0, refused: 0 }));
    counts[verdict] += 1;
    return undefined;
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { target: target.name, number, message, bytes: original };
  }
}
