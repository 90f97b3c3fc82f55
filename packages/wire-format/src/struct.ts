/*
 * Fixed binary structs, declared once.
 *
 * The declaration gives the codec, the size, the documentation table and the struct's part of the format hash.
 * The interface is written beside it; the compiler wants one field per property, so the two cannot drift.
 */
import type { Field } from "./fields.ts";

/** The codec of one struct; it is itself a field, so structs nest. */
export interface StructCodec<V> extends Field<V> {
  /** Name, as in the format documents. */
  readonly name: string;
  /** One line that changes whenever the layout does; goes into the format hash. */
  readonly signature: string;
  /** The layout as text, `OFFSET  SIZE  MEANING`, offsets from the struct's start. */
  readonly table: string;
  /**
   * The struct as `sizeBytes` new bytes.
   *
   * @throws RangeError when a value does not fit its field.
   */
  encode(value: V): Uint8Array;
  /**
   * The value in `bytes`, which has exactly `sizeBytes` bytes.
   *
   * @throws RangeError when the length is wrong or a field is malformed.
   */
  decode(bytes: Uint8Array): V;
}

/** Declares a struct: the order of the fields is their order in the bytes. Little-endian, packed. */
export function struct<V>(name: string, layout: { readonly [K in keyof V]-?: Field<V[K]> }): StructCodec<V> {
  const entries = Object.entries(layout) as [keyof V & string, Field<V[keyof V & string]>][];
  let sizeBytes = 0;
  const placed = entries.map(([key, field]) => {
    const offset = sizeBytes;
    sizeBytes += field.sizeBytes;
    return { key, field, offset };
  });
  const signature = `${name}{${entries.map(([key, field]) => `${key}:${field.kind}`).join(",")}}`;
  const rows = placed.map(
    ({ key, field, offset }) =>
      `${String(offset).padStart(6)}${String(field.sizeBytes).padStart(6)}  ${key} (${field.kind.replace(/\{.*\}/, "")})`,
  );
  return {
    name,
    kind: signature,
    signature,
    sizeBytes,
    table: ["OFFSET  SIZE  MEANING", ...rows].join("\n"),
    write,
    read,
    encode,
    decode,
  };

  function write(view: DataView, offset: number, value: V): void {
    for (const part of placed) part.field.write(view, offset + part.offset, value[part.key]);
  }

  function read(view: DataView, offset: number): V {
    const value: Partial<V> = {};
    for (const part of placed) value[part.key] = part.field.read(view, offset + part.offset);
    // Every key of the layout was set, and the layout has every key of V.
    return value as V;
  }

  function encode(value: V): Uint8Array {
    const out = new Uint8Array(sizeBytes);
    write(new DataView(out.buffer), 0, value);
    return out;
  }

  function decode(bytes: Uint8Array): V {
    if (bytes.length !== sizeBytes)
      throw new RangeError(`${name} has ${sizeBytes} bytes, not ${bytes.length}`);
    return read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
  }
}
