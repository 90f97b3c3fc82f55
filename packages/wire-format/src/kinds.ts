/*
 * Kinds of values in messages, each with its limit.
 */
import type { Kind } from "./message.ts";

/** Unsigned integer up to 2^32−1, a number. */
export const uint: Kind<number> = {
  kind: "uint",
  pack: checkedUint,
  unpack: checkedUint,
};

/** Unsigned 64-bit integer, a bigint. */
export const uint64: Kind<bigint> = {
  kind: "uint64",
  pack: checkedUint64,
  unpack: checkedUint64,
};

/** True or false. */
export const bool: Kind<boolean> = { kind: "bool", pack: checkedBool, unpack: checkedBool };

/** Text of at most `charactersMax` UTF-16 units, without unpaired surrogates. */
export function string(charactersMax: number): Kind<string> {
  return { kind: `string(${charactersMax})`, pack: check, unpack: check };

  function check(value: unknown): string {
    if (typeof value !== "string") throw new RangeError("not a string");
    if (value.length > charactersMax)
      throw new RangeError(`${value.length} characters, ${charactersMax} are allowed`);
    if (UNPAIRED_SURROGATE.test(value)) throw new RangeError("not well-formed Unicode");
    return value;
  }
}

// With the flag `u`, a surrogate that has its other half is part of one character and does not match.
const UNPAIRED_SURROGATE = /\p{Surrogate}/u;

/** At most `bytesMax` bytes; unpacking copies. */
export function binary(bytesMax: number): Kind<Uint8Array> {
  return {
    kind: `binary(${bytesMax})`,
    pack: check,
    // Not `slice`: on a Buffer, which sockets deliver, that is a view into memory that will be used again.
    unpack: (data) => new Uint8Array(check(data)),
  };

  function check(value: unknown): Uint8Array {
    if (!(value instanceof Uint8Array)) throw new RangeError("not binary");
    if (value.length > bytesMax) throw new RangeError(`${value.length} bytes, ${bytesMax} are allowed`);
    return value;
  }
}

/** At most `countMax` values of one kind. */
export function array<T>(of: Kind<T>, countMax: number): Kind<readonly T[]> {
  return {
    kind: `array(${of.kind},${countMax})`,
    pack: (values) => checkCount(values).map((value) => of.pack(value)),
    unpack(data) {
      if (!Array.isArray(data)) throw new RangeError("not an array");
      return checkCount<unknown>(data).map((entry) => of.unpack(entry));
    },
  };

  function checkCount<E>(values: readonly E[]): readonly E[] {
    if (values.length > countMax) throw new RangeError(`${values.length} entries, ${countMax} are allowed`);
    return values;
  }
}

/** A value or undefined, which travels as nil. */
export function optional<T>(of: Kind<T>): Kind<T | undefined> {
  return {
    kind: `optional(${of.kind})`,
    pack: (value) => (value === undefined ? null : of.pack(value)),
    unpack: (data) => (data === null ? undefined : of.unpack(data)),
  };
}

function checkedUint(value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new RangeError("not an unsigned 32-bit integer");
  }
  return value;
}

function checkedUint64(value: unknown): bigint {
  if (typeof value !== "bigint" || value < 0n || value >= 1n << 64n)
    throw new RangeError("not an unsigned 64-bit integer");
  return value;
}

function checkedBool(value: unknown): boolean {
  if (typeof value !== "boolean") throw new RangeError("not a boolean");
  return value;
}
