/*
 * The range of keys that one lock protects. Its start key is the lock's name.
 *
 * Tables are keyed by a string made of the start key's bytes, one character each, because strings are hashed once
 * and compare like the bytes. A caller that uses a lock often prepares its range once and pays for the string once.
 */
import { type Key, KEY_BYTES, type KeyRange } from "@holdfast/wire-format";

/** A prepared range: the keys, and the strings that tables use. Immutable. */
export class LockRange implements KeyRange {
  readonly start: Key;
  readonly end: Key;
  /** The start key as a string; the lock's name in tables. */
  readonly id: string;
  /** The end key as a string; strings compare as the keys do. */
  readonly endId: string;

  /**
   * Prepares a range, both ends included. The keys are not copied; nobody writes to them afterwards.
   *
   * @throws RangeError when a key has not 32 bytes or the end sorts before the start.
   */
  constructor(range: KeyRange) {
    if (range.start.length !== KEY_BYTES || range.end.length !== KEY_BYTES)
      throw new RangeError(`the keys of a lock range have ${KEY_BYTES} bytes`);
    this.start = range.start;
    this.end = range.end;
    this.id = keyId(range.start);
    this.endId = keyId(range.end);
    if (this.endId < this.id) throw new RangeError("the end of a lock range sorts before its start");
  }
}

/** The range as a prepared one; itself when it already is. */
export function lockRange(range: KeyRange): LockRange {
  return range instanceof LockRange ? range : new LockRange(range);
}

/** The name of the lock that starts at `range.start`, as tables use it. */
export function lockIdOf(range: KeyRange): string {
  return range instanceof LockRange ? range.id : keyId(range.start);
}

function keyId(key: Key): string {
  // `apply` takes any array-like of numbers; its declaration only knows arrays.
  return String.fromCharCode.apply(undefined, key as unknown as number[]);
}
