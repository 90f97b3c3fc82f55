/*
 * The set of operations that a search has placed, with a short key.
 *
 * Operations are numbered by their call, so nearly all of the early ones are in the set and nearly all of the late ones
 * are not: the key holds only the window between, not the whole set.
 */

const BITS = 16;
const FULL = 0xffff;

/** A set of small integers. */
export class PlacedSet {
  readonly #chunks: Uint16Array;
  /** All chunks below are full. */
  #low = 0;
  /** All chunks from here on are empty. */
  #high = 0;

  constructor(size: number) {
    this.#chunks = new Uint16Array(Math.ceil(size / BITS));
  }

  add(index: number): void {
    const at = index >> 4;
    this.#chunks[at] = (this.#chunks[at] ?? 0) | (1 << (index & 15));
    while (this.#chunks[this.#low] === FULL) this.#low += 1;
    if (at >= this.#high) this.#high = at + 1;
  }

  delete(index: number): void {
    const at = index >> 4;
    this.#chunks[at] = (this.#chunks[at] ?? 0) & ~(1 << (index & 15));
    if (at < this.#low) this.#low = at;
    while (this.#high > 0 && this.#chunks[this.#high - 1] === 0) this.#high -= 1;
  }

  /** Equal for equal sets. */
  key(): string {
    let key = `${this.#low}:`;
    for (let at = this.#low; at < this.#high; at++) key += String.fromCharCode(this.#chunks[at] ?? 0);
    return `${key}:`;
  }
}
