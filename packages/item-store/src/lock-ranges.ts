/*
 * Which lock covers a key: all keys with equal first 11 bytes share one (zone, first, type and the first byte of
 * what follows; for users: one dataset and one first byte). Fine enough that members with different keys do not
 * meet, coarse enough that a scan of a dataset needs 256 locks and not one per key.
 */
import { LockRange } from "@holdfast/lock-protocol";
import { KEY_BYTES, type Key, type KeyRange, compareBytes } from "@holdfast/wire-format";

/** Bytes that the keys of one lock range have in common. */
export const LOCK_PREFIX_BYTES = 11;

/** Lock ranges in one family: keys that share all of the lock prefix but its last byte. */
export const LOCK_RANGES_PER_FAMILY = 256;

/** Families of ranges kept ready; beyond it all are dropped and made again, which only costs time. */
export const LOCK_FAMILIES_MAX = 1024;

const FAMILY_BYTES = LOCK_PREFIX_BYTES - 1;

/** The range of the lock that covers `key`. */
export function lockRangeOf(key: Key): LockRange {
  const start = new Uint8Array(KEY_BYTES);
  const end = new Uint8Array(KEY_BYTES).fill(0xff);
  for (let index = 0; index < LOCK_PREFIX_BYTES; index += 1) {
    const value = key[index] ?? 0;
    start[index] = value;
    end[index] = value;
  }
  return new LockRange({ start, end });
}

/** One lock range and what the read cache knows of it. */
export interface CachedRange {
  readonly range: LockRange;
  /** Cached items of the range count only if their stamp is at least this. */
  validFrom: number;
  /** Generation of the read cache from which on it has every item of the range; Infinity: it does not. */
  completeFrom: number;
}

/** Lock ranges made once and found again, so that a warm read allocates none. */
export class LockRanges {
  readonly #nextStamp: () => number;
  readonly #families: Map<string, (CachedRange | undefined)[]> = new Map();
  readonly #lastPrefix: Uint8Array = new Uint8Array(FAMILY_BYTES);
  #last: (CachedRange | undefined)[] | undefined;

  /** @param nextStamp - A stamp greater than all before: nothing cached counts for a range met for the first time. */
  constructor(nextStamp: () => number) {
    this.#nextStamp = nextStamp;
  }

  /** The lock range that covers `key`. */
  of(key: Key): CachedRange {
    const family = this.#family(key);
    const byte = key[FAMILY_BYTES] ?? 0;
    const known = family[byte];
    if (known !== undefined) return known;
    const made = { range: lockRangeOf(key), validFrom: this.#nextStamp(), completeFrom: Infinity };
    family[byte] = made;
    return made;
  }

  /**
   * Every lock range that shares a key with `range`, in order; none when it ends before it starts.
   *
   * @throws RangeError when the range leaves one dataset: it would need more locks than anybody can hold.
   */
  within(range: KeyRange): readonly CachedRange[] {
    if (compareBytes(range.start, range.end) > 0) return [];
    if (!hasPrefix(range.end, range.start)) throw new RangeError("a scan stays within one dataset");
    const ranges: CachedRange[] = [];
    const key = range.start.slice();
    for (let byte = range.start[FAMILY_BYTES] ?? 0; byte <= (range.end[FAMILY_BYTES] ?? 0); byte += 1) {
      key[FAMILY_BYTES] = byte;
      ranges.push(this.of(key));
    }
    return ranges;
  }

  #family(key: Key): (CachedRange | undefined)[] {
    if (this.#last !== undefined && hasPrefix(key, this.#lastPrefix)) return this.#last;
    const prefix = key.subarray(0, FAMILY_BYTES);
    const name = String.fromCharCode(...prefix);
    let family = this.#families.get(name);
    if (family === undefined) {
      if (this.#families.size >= LOCK_FAMILIES_MAX) this.#families.clear();
      family = Array.from({ length: LOCK_RANGES_PER_FAMILY }, () => undefined);
      this.#families.set(name, family);
    }
    this.#last = family;
    this.#lastPrefix.set(prefix);
    return family;
  }
}

function hasPrefix(key: Key, prefix: Key): boolean {
  for (let index = FAMILY_BYTES - 1; index >= 0; index -= 1) if (key[index] !== prefix[index]) return false;
  return true;
}
