/*
 * User keys: 1 to 21 bytes of the user's choice, as keys of one dataset.
 *
 *   OFFSET  SIZE  MEANING
 *        0     1  zone, 2
 *        1     8  dataset, big-endian
 *        9     1  type, 1
 *       10    21  the user key, then zeros
 *       31     1  bytes in the user key
 *
 * The order of the keys is the order of the user keys as bytes: zeros are the smallest bytes, and of two that
 * differ in trailing zeros alone the shorter comes first by its length.
 */
import { utf8 } from "@holdfast/environment";
import { KEY_BYTES, type Key, type KeyRange } from "@holdfast/wire-format";
import { KeyTooLongError } from "./errors.ts";

/** Zone of the items of datasets. */
export const DATASET_ZONE = 2;

/** Type of the items that users name. */
export const USER_ITEM_TYPE = 1;

/** Bytes in the longest user key. */
export const USER_KEY_BYTES_MAX = 21;

const USER_KEY_OFFSET = 10;
const LENGTH_OFFSET = KEY_BYTES - 1;

/** Makes the keys of one dataset: what they have in common is prepared once, so that a key costs one small array. */
export class DatasetKeys {
  readonly #prefix: Uint8Array;

  /** @param dataset - Identity of the dataset, 0 … 2^64−1. */
  constructor(dataset: bigint) {
    this.#prefix = datasetPrefix(dataset, 0).slice(0, USER_KEY_OFFSET);
  }

  /**
   * The key of a user's key: bytes, or text that stands for its UTF-8.
   *
   * @throws {@link KeyTooLongError} `ERR_HOLDFAST_KEY_TOO_LONG` when it is empty or has more than 21 bytes.
   */
  key(userKey: Uint8Array | string): Key {
    return typeof userKey === "string" ? this.#ofText(userKey) : this.#ofBytes(userKey);
  }

  #ofBytes(bytes: Uint8Array): Key {
    const { length } = bytes;
    const key = this.#begin(length);
    // Byte by byte: for so few that is faster than a bulk copy.
    for (let index = 0; index < length; index += 1) key[USER_KEY_OFFSET + index] = bytes[index] as number;
    return key;
  }

  #ofText(text: string): Key {
    const { length } = text;
    // More characters are never fewer bytes; the encoder tells how many.
    if (length > USER_KEY_BYTES_MAX) return this.#ofBytes(utf8.encode(text));
    const key = this.#begin(length);
    for (let index = 0; index < length; index += 1) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return this.#ofBytes(utf8.encode(text));
      key[USER_KEY_OFFSET + index] = code;
    }
    return key;
  }

  #begin(lengthBytes: number): Key {
    if (lengthBytes === 0 || lengthBytes > USER_KEY_BYTES_MAX)
      throw new KeyTooLongError(lengthBytes, USER_KEY_BYTES_MAX);
    const key = new Uint8Array(KEY_BYTES);
    const prefix = this.#prefix;
    for (let index = 0; index < USER_KEY_OFFSET; index += 1) key[index] = prefix[index] as number;
    key[LENGTH_OFFSET] = lengthBytes;
    return key;
  }
}

/**
 * The key of one user's key; {@link DatasetKeys} makes many.
 *
 * @param dataset - Identity of the dataset, 0 … 2^64−1.
 * @throws {@link KeyTooLongError} `ERR_HOLDFAST_KEY_TOO_LONG` when it is empty or has more than 21 bytes.
 */
export function userKey(dataset: bigint, bytes: Uint8Array): Key {
  return new DatasetKeys(dataset).key(bytes);
}

/**
 * The user's key in a key: a copy.
 *
 * @throws RangeError when the key was not made by {@link userKey}.
 */
export function userKeyBytes(key: Key): Uint8Array {
  const length = key[LENGTH_OFFSET] ?? 0;
  const isUserKey =
    key.length === KEY_BYTES &&
    key[0] === DATASET_ZONE &&
    key[USER_KEY_OFFSET - 1] === USER_ITEM_TYPE &&
    length >= 1 &&
    length <= USER_KEY_BYTES_MAX;
  if (!isUserKey) throw new RangeError("the key is not that of a user's item");
  return key.slice(USER_KEY_OFFSET, USER_KEY_OFFSET + length);
}

/** Identity of the dataset that a key belongs to. */
export function datasetOf(key: Key): bigint {
  return new DataView(key.buffer, key.byteOffset, KEY_BYTES).getBigUint64(1);
}

/** All keys that users can have in a dataset. */
export function datasetRange(dataset: bigint): KeyRange {
  return { start: datasetPrefix(dataset, 0), end: datasetPrefix(dataset, 0xff) };
}

/** All keys of a dataset whose user keys begin with `prefix` (0 … 21 bytes). @throws {@link KeyTooLongError} */
export function prefixRange(dataset: bigint, prefix: Uint8Array): KeyRange {
  if (prefix.length > USER_KEY_BYTES_MAX) throw new KeyTooLongError(prefix.length, USER_KEY_BYTES_MAX);
  const { start, end } = datasetRange(dataset);
  start.set(prefix, USER_KEY_OFFSET);
  end.set(prefix, USER_KEY_OFFSET);
  return { start, end };
}

function datasetPrefix(dataset: bigint, fill: number): Uint8Array {
  const key = new Uint8Array(KEY_BYTES).fill(fill);
  const view = new DataView(key.buffer);
  view.setUint8(0, DATASET_ZONE);
  view.setBigUint64(1, dataset);
  view.setUint8(9, USER_ITEM_TYPE);
  return key;
}
