import { HoldfastError } from "@holdfast/environment";

/** What became of an input: the code took it for valid, or refused it in its own words. */
export type Verdict = "accepted" | "refused";

/** One parser under fire. */
export interface FuzzTarget {
  readonly name: string;
  /** Its share of the inputs, relative to the others'. */
  readonly weight: number;
  /** Valid inputs, which are mutated. */
  readonly seeds: readonly Uint8Array[];
  /** True where only the bytes can be wrong, not their number. */
  readonly isFixedLength: boolean;
  /**
   * Gives the code an input.
   *
   * @param entropy - 32 random bits for choices beside the input, such as where a stream of bytes is cut.
   * @throws whatever is wrong with the code: its own refusals have become a verdict.
   */
  feed(input: Uint8Array, entropy: number): Verdict | Promise<Verdict>;
}

/** The code did what it must never do. */
export class FindingError extends Error {}

/** Runs a parser: its own refusals are a verdict, anything else that it throws is a finding. */
export function verdictOf(parse: () => void): Verdict {
  try {
    parse();
    return "accepted";
  } catch (error) {
    if (isRefusal(error)) return "refused";
    throw error;
  }
}

/** True for the errors by which code says that its input is bad. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof HoldfastError) {
    // A stale segment is no damage to its reader, which asks for the manifest again.
    if (error.code === "ERR_HOLDFAST_SEGMENT_STALE") return true;
    return error.category === "corruption" || error.category === "protocol";
  }
  // Codecs of the base row refuse by RangeError; one that ran out of stack or memory is a finding.
  return error instanceof RangeError && !/call stack|array length|allocation/i.test(error.message);
}
