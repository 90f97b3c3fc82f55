/** Times at which writes were acknowledged, and the pauses between them. */
export class Acknowledgements {
  readonly #times: number[] = [];

  /** A write was acknowledged at `atMs`. */
  add(atMs: number): void {
    this.#times.push(atMs);
  }

  /** Milliseconds from `sinceMs` to the first acknowledgement after it. */
  firstAfter(sinceMs: number): number {
    return (this.#times.find((time) => time > sinceMs) ?? Number.NaN) - sinceMs;
  }

  /** The longest time without an acknowledgement, in milliseconds, that ended after `sinceMs`. */
  longestPauseAfter(sinceMs: number): number {
    let longest = 0;
    this.#times.forEach((time, index) => {
      const before = this.#times[index - 1] ?? time;
      if (time > sinceMs && time - before > longest) longest = time - before;
    });
    return longest;
  }
}
