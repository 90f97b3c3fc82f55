/*
 * Keys: 32 bytes, compared as bytes.
 *
 *   OFFSET  SIZE  MEANING (big-endian, so that the order of the bytes is the order of the fields)
 *        0     1  zone
 *        1     8  first
 *        9     1  type
 *       10     8  second
 *       18     8  third
 *       26     6  fourth (48 bits)
 */

/** Bytes in a key. */
export const KEY_BYTES = 32;

/** A key, 32 bytes; whoever receives one does not write to it. */
export type Key = Uint8Array;

/** The fields of a key, for those that are made of numbers. */
export interface KeyFields {
  /** 0 … 255; what the key is about. */
  readonly zone: number;
  readonly first: bigint;
  /** 0 … 255. */
  readonly type: number;
  readonly second: bigint;
  readonly third: bigint;
  /** 0 … 2^48−1. */
  readonly fourth: number;
}

/** A range of keys, both ends included. */
export interface KeyRange {
  readonly start: Key;
  readonly end: Key;
}

/** The smallest key. */
export const FIRST_KEY: Key = new Uint8Array(KEY_BYTES);

/** The greatest key. */
export const LAST_KEY: Key = new Uint8Array(KEY_BYTES).fill(0xff);

/** Packs the fields of a key. @throws RangeError when one does not fit. */
export function packKey(fields: KeyFields): Key {
  const { zone, type, fourth } = fields;
  if (!Number.isInteger(zone) || zone < 0 || zone > 255) throw new RangeError(`zone cannot be ${zone}`);
  if (!Number.isInteger(type) || type < 0 || type > 255) throw new RangeError(`type cannot be ${type}`);
  if (!Number.isInteger(fourth) || fourth < 0 || fourth >= 2 ** 48)
    throw new RangeError(`fourth cannot be ${fourth}`);
  for (const word of [fields.first, fields.second, fields.third]) {
    if (word < 0n || word >= 1n << 64n) throw new RangeError(`a key's word cannot be ${word}`);
  }
  const key = new Uint8Array(KEY_BYTES);
  const view = new DataView(key.buffer);
  view.setUint8(0, zone);
  view.setBigUint64(1, fields.first);
  view.setUint8(9, type);
  view.setBigUint64(10, fields.second);
  view.setBigUint64(18, fields.third);
  view.setUint16(26, Math.floor(fourth / 2 ** 32));
  view.setUint32(28, fourth % 2 ** 32);
  return key;
}

/** The fields of a key. @throws RangeError when it does not have 32 bytes. */
export function unpackKey(key: Key): KeyFields {
  if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
  const view = new DataView(key.buffer, key.byteOffset, KEY_BYTES);
  return {
    zone: view.getUint8(0),
    first: view.getBigUint64(1),
    type: view.getUint8(9),
    second: view.getBigUint64(10),
    third: view.getBigUint64(18),
    fourth: view.getUint16(26) * 2 ** 32 + view.getUint32(28),
  };
}

/** Negative, zero or positive as `a` sorts before, with or after `b`. Shorter first when one starts the other. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const difference = (a[index] as number) - (b[index] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** True when the two hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** The next key in order, or undefined after the greatest. */
export function keyAfter(key: Key): Key | undefined {
  const next = new Uint8Array(key);
  for (let index = KEY_BYTES - 1; index >= 0; index -= 1) {
    const value = next[index] as number;
    next[index] = value + 1;
    if (value < 255) return next;
  }
  return undefined;
}

/** The previous key in order, or undefined before the smallest. */
export function keyBefore(key: Key): Key | undefined {
  const previous = new Uint8Array(key);
  for (let index = KEY_BYTES - 1; index >= 0; index -= 1) {
    const value = previous[index] as number;
    previous[index] = value - 1;
    if (value > 0) return previous;
  }
  return undefined;
}

/** True when `key` lies in `range`. */
export function rangeHas(range: KeyRange, key: Key): boolean {
  return compareBytes(range.start, key) <= 0 && compareBytes(key, range.end) <= 0;
}

/** True when the two ranges share a key. */
export function rangesOverlap(a: KeyRange, b: KeyRange): boolean {
  return compareBytes(a.start, b.end) <= 0 && compareBytes(b.start, a.end) <= 0;
}

/** Lower-case hexadecimal of any bytes, for messages and for maps. */
export function toHex(bytes: Uint8Array): string {
  let out = "";
  for (const value of bytes) out += value.toString(16).padStart(2, "0");
  return out;
}
