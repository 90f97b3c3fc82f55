/** Counts of events that a run must have met sometimes, by name. */
export class Counters {
  readonly #counts = new Map<string, number>();

  /** Counts an event. */
  add(name: string, count: number = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  /** Raises a counter to a value it has not reached. */
  atLeast(name: string, value: number): void {
    if (value > (this.#counts.get(name) ?? 0)) this.#counts.set(name, value);
  }

  /** The count of one event. */
  count(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** All counts, by name. */
  entries(): [string, number][] {
    return [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}
