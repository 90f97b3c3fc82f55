/*
 * Kinds of fields in a fixed binary struct. Little-endian; every field has one size, so a struct has one size.
 */
import { utf8 } from "@holdfast/environment";

/** One kind of field: how its value stands in bytes. */
export interface Field<T> {
  /** Name of the kind, part of the format hash and of the documentation table. */
  readonly kind: string;
  /** Bytes it takes. */
  readonly sizeBytes: number;
  /** @throws RangeError when the value does not fit. */
  write(view: DataView, offset: number, value: T): void;
  /** @throws RangeError when the bytes are no such value. */
  read(view: DataView, offset: number): T;
}

/** Unsigned, 0 … 255. */
export const u8: Field<number> = unsigned(
  "u8",
  1,
  (view, offset, value) => view.setUint8(offset, value),
  (view, offset) => view.getUint8(offset),
);

/** Unsigned, 0 … 65 535. */
export const u16: Field<number> = unsigned(
  "u16",
  2,
  (view, offset, value) => view.setUint16(offset, value, true),
  (view, offset) => view.getUint16(offset, true),
);

/** Unsigned, 0 … 2^32−1. */
export const u32: Field<number> = unsigned(
  "u32",
  4,
  (view, offset, value) => view.setUint32(offset, value, true),
  (view, offset) => view.getUint32(offset, true),
);

/** Unsigned in 8 bytes, 0 … 2^53−1, for counters that are numbers in memory. */
export const u53: Field<number> = {
  kind: "u53",
  sizeBytes: 8,
  write(view, offset, value) {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`u53 cannot hold ${value}`);
    view.setUint32(offset, value >>> 0, true);
    view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
  },
  read(view, offset) {
    const high = view.getUint32(offset + 4, true);
    if (high > 0x1f_ffff) throw new RangeError("u53 exceeds 2^53-1");
    return high * 2 ** 32 + view.getUint32(offset, true);
  },
};

/** Unsigned, 0 … 2^64−1. */
export const u64: Field<bigint> = {
  kind: "u64",
  sizeBytes: 8,
  write(view, offset, value) {
    if (value < 0n || value >= 1n << 64n) throw new RangeError(`u64 cannot hold ${value}`);
    view.setBigUint64(offset, value, true);
  },
  read: (view, offset) => view.getBigUint64(offset, true),
};

/** True or false in one byte, 1 or 0. */
export const flag: Field<boolean> = {
  kind: "flag",
  sizeBytes: 1,
  write: (view, offset, value) => view.setUint8(offset, value ? 1 : 0),
  read(view, offset) {
    const value = view.getUint8(offset);
    if (value > 1) throw new RangeError(`flag is ${value}`);
    return value === 1;
  },
};

/** Exactly `count` bytes. Reading copies. */
export function bytes(count: number): Field<Uint8Array> {
  return {
    kind: `bytes(${count})`,
    sizeBytes: count,
    write(view, offset, value) {
      if (value.length !== count) throw new RangeError(`${count} bytes wanted, ${value.length} given`);
      new Uint8Array(view.buffer, view.byteOffset + offset, count).set(value);
    },
    read: (view, offset) => new Uint8Array(view.buffer, view.byteOffset + offset, count).slice(),
  };
}

/** Up to `maxBytes` bytes: a u16 length, the bytes, zeros. */
export function blob(maxBytes: number): Field<Uint8Array> {
  checkMaximum(maxBytes);
  return {
    kind: `blob(${maxBytes})`,
    sizeBytes: 2 + maxBytes,
    write(view, offset, value) {
      if (value.length > maxBytes) throw new RangeError(`at most ${maxBytes} bytes, ${value.length} given`);
      const target = new Uint8Array(view.buffer, view.byteOffset + offset, 2 + maxBytes);
      target.fill(0);
      view.setUint16(offset, value.length, true);
      target.set(value, 2);
    },
    read(view, offset) {
      const length = view.getUint16(offset, true);
      if (length > maxBytes) throw new RangeError(`length ${length} exceeds ${maxBytes}`);
      return new Uint8Array(view.buffer, view.byteOffset + offset + 2, length).slice();
    },
  };
}

/** Text of up to `maxBytes` bytes of UTF-8: a u16 length, the bytes, zeros. */
export function text(maxBytes: number): Field<string> {
  const inner = blob(maxBytes);
  return {
    kind: `text(${maxBytes})`,
    sizeBytes: inner.sizeBytes,
    write: (view, offset, value) => inner.write(view, offset, utf8.encode(value)),
    read(view, offset) {
      try {
        return utf8.decode(inner.read(view, offset));
      } catch (cause) {
        throw new RangeError("text is not valid UTF-8", { cause });
      }
    },
  };
}

/** Up to `maxCount` values of one kind: a u16 count, the values, zeros. */
export function list<T>(of: Field<T>, maxCount: number): Field<readonly T[]> {
  checkMaximum(maxCount);
  const sizeBytes = 2 + of.sizeBytes * maxCount;
  return {
    kind: `list(${of.kind},${maxCount})`,
    sizeBytes,
    write(view, offset, values) {
      if (values.length > maxCount)
        throw new RangeError(`at most ${maxCount} entries, ${values.length} given`);
      new Uint8Array(view.buffer, view.byteOffset + offset, sizeBytes).fill(0);
      view.setUint16(offset, values.length, true);
      values.forEach((value, index) => of.write(view, offset + 2 + index * of.sizeBytes, value));
    },
    read(view, offset) {
      const count = view.getUint16(offset, true);
      if (count > maxCount) throw new RangeError(`count ${count} exceeds ${maxCount}`);
      return Array.from({ length: count }, (_, index) => of.read(view, offset + 2 + index * of.sizeBytes));
    },
  };
}

/** The greatest length or count that a u16 can tell. */
function checkMaximum(maximum: number): void {
  if (!Number.isInteger(maximum) || maximum < 0 || maximum > 0xffff)
    throw new RangeError(`a u16 cannot count to ${maximum}`);
}

function unsigned(
  kind: string,
  sizeBytes: number,
  set: (view: DataView, offset: number, value: number) => void,
  get: (view: DataView, offset: number) => number,
): Field<number> {
  const limit = 2 ** (8 * sizeBytes);
  return {
    kind,
    sizeBytes,
    write(view, offset, value) {
      if (!Number.isInteger(value) || value < 0 || value >= limit)
        throw new RangeError(`${kind} cannot hold ${value}`);
      set(view, offset, value);
    },
    read: get,
  };
}
