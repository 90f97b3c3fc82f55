/*
 * The keys of a run: those that all clients use, those of one client alone, and groups that are only ever written and
 * read together.
 */
import type { LoadConfig } from "../plan/run-config.ts";

/** Keys that are written by one transaction and read by one transaction. */
export interface KeyGroup {
  /** What the history calls it: a group is judged as one key. */
  readonly name: string;
  /** In different lock ranges. */
  readonly keys: readonly string[];
}

/** Keys that one client alone writes: there nobody else's write can hide that one was lost. */
const OWN_KEYS_COUNT = 3;

/** First characters of clients' own keys; one character, one lock range. */
const OWN_RANGES = "ABCD";

/** First characters of the keys of a group, two that few others use and one that clients use. */
const GROUP_RANGES = ["Y", "Z", "a"];

/** The keys of one run. */
export class KeySpace {
  /** Keys that all clients use. */
  readonly common: readonly string[];
  readonly groups: readonly KeyGroup[];
  /** Every key that is judged alone. */
  readonly single: readonly string[];
  readonly #all: ReadonlySet<string>;

  constructor({ keyCount, rangeCount, groupCount, clientCount }: LoadConfig) {
    this.common = Array.from({ length: keyCount }, (_, index) => {
      const first = String.fromCharCode(97 + (index % rangeCount) * 3);
      return `${first}${String(index).padStart(2, "0")}`;
    });
    this.groups = Array.from({ length: groupCount }, (_, group) => ({
      name: `group-${group}`,
      keys: GROUP_RANGES.map((range) => `${range}-group-${group}`),
    }));
    const own = Array.from({ length: clientCount }, (_, client) => this.own(client)).flat();
    this.single = [...this.common, ...own];
    this.#all = new Set([...this.single, ...this.groups.flatMap(({ keys }) => keys)]);
  }

  /** The keys of one client: in a lock range that few others share, or none. */
  own(client: number): readonly string[] {
    const range = OWN_RANGES[client % OWN_RANGES.length] ?? "A";
    return Array.from({ length: OWN_KEYS_COUNT }, (_, index) => `${range}${client}${index}`);
  }

  /** True for a key that somebody writes. */
  has(key: string): boolean {
    return this.#all.has(key);
  }
}
