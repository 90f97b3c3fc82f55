/*
 * Keys as eight big-endian words, so that a comparison is mostly one comparison of two numbers.
 */
import { KEY_BYTES, type Key } from "@holdfast/wire-format";

/** A key made ready for looking up in many segments: its words and its hash. Reusable; no lookup keeps it. */
export class KeyProbe {
  /** The key's 32 bytes. */
  readonly view: DataView;
  /** {@link hashKey} of the key. */
  hash = 0;
  readonly #bytes: Uint8Array = new Uint8Array(KEY_BYTES);

  constructor(key?: Key) {
    this.view = new DataView(this.#bytes.buffer);
    if (key !== undefined) this.set(key);
  }

  /** The key as bytes; the next {@link set} overwrites them. */
  get key(): Key {
    return this.#bytes;
  }

  /** Takes another key, 32 bytes, by copying it. */
  set(key: Key): this {
    if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
    // Byte by byte: for so few, quicker than TypedArray.prototype.set.
    for (let index = 0; index < KEY_BYTES; index += 1) this.#bytes[index] = key[index] as number;
    this.hash = hashKey(this.view, 0);
    return this;
  }
}

/** Order of two keys, negative, zero or positive; bytes before `from`, a multiple of 4, are known to be equal. */
export function compareKeysAt(
  a: DataView,
  aOffset: number,
  b: DataView,
  bOffset: number,
  from: number,
): number {
  for (let at = from; at < KEY_BYTES; at += 4) {
    const left = a.getUint32(aOffset + at);
    const right = b.getUint32(bOffset + at);
    if (left !== right) return left - right;
  }
  return 0;
}

/** Bytes at the front, a multiple of 4 and at most 28, in which two keys agree. */
export function sharedPrefixAt(a: DataView, aOffset: number, b: DataView, bOffset: number): number {
  let at = 0;
  while (at < KEY_BYTES - 4 && a.getUint32(aOffset + at) === b.getUint32(bOffset + at)) at += 4;
  return at;
}

/** 32-bit hash of the key at `offset`: multiply and fold per word, finished as in MurmurHash3 (Appleby). */
export function hashKey(view: DataView, offset: number): number {
  let hash = 0x9747b28c;
  for (let at = 0; at < KEY_BYTES; at += 4) {
    hash = Math.imul(hash ^ view.getUint32(offset + at), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
