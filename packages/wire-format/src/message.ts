/*
 * Message bodies: values declared once, carried as MessagePack arrays in the order of the declaration.
 *
 * Nothing that arrives is trusted: extension types, maps, nesting beyond the declared shape, bytes behind the value
 * and lengths beyond the declared limits are refused. Maps never occur, so neither do prototype keys.
 * @msgpack/msgpack carries them because it is the field's best kept codec (docs/decisions/0003); the limit of
 * nesting, and that nothing is allocated beyond what arrived, are ours: the library has neither (measured).
 */
import { Decoder, Encoder, ExtensionCodec } from "@msgpack/msgpack";
import { MessageError } from "./errors.ts";

/** Deepest nesting of a body: a message, a list in it, an entry of the list, a list in the entry, a leaf. */
export const MESSAGE_DEPTH_MAX = 8;

/** One kind of value in a message. */
export interface Kind<T> {
  readonly kind: string;
  /** The value as MessagePack data. @throws RangeError when it breaks a limit. */
  pack(value: T): unknown;
  /** The value in decoded data. @throws RangeError when it is something else. */
  unpack(data: unknown): T;
}

/** The codec of one message body. */
export interface MessageCodec<V> extends Kind<V> {
  readonly name: string;
  /** One line that changes whenever the shape does; goes into the format hash. */
  readonly signature: string;
  /** @throws {@link MessageError} `ERR_HOLDFAST_MESSAGE_SHAPE` when a value breaks its limit. */
  encode(value: V): Uint8Array;
  /** @throws {@link MessageError} when the bytes are not exactly one such message. Binary fields are copies. */
  decode(bytes: Uint8Array): V;
}

/** Declares a message: an array with one entry per field, in the order of the shape. Messages nest. */
export function message<V>(name: string, shape: { readonly [K in keyof V]-?: Kind<V[K]> }): MessageCodec<V> {
  const entries = Object.entries(shape) as [keyof V & string, Kind<V[keyof V & string]>][];
  const signature = `${name}[${entries.map(([key, kind]) => `${key}:${kind.kind}`).join(",")}]`;
  return { name, kind: signature, signature, pack, unpack, encode, decode };

  function pack(value: V): unknown {
    return entries.map(([key, kind]) => within(key, () => kind.pack(value[key])));
  }

  function unpack(data: unknown): V {
    if (!Array.isArray(data)) throw new RangeError("not an array");
    if (data.length !== entries.length)
      throw new RangeError(`${data.length} fields instead of ${entries.length}`);
    const value: Partial<V> = {};
    entries.forEach(([key, kind], index) => {
      value[key] = within(key, () => kind.unpack(data[index]));
    });
    // Every field of the shape was set, and the shape has every key of V.
    return value as V;
  }

  function encode(value: V): Uint8Array {
    try {
      return encoder.encode(pack(value));
    } catch (cause) {
      throw shapeError(name, cause);
    }
  }

  function decode(bytes: Uint8Array): V {
    const data = decodeData(name, bytes);
    try {
      return unpack(data);
    } catch (cause) {
      throw shapeError(name, cause);
    }
  }
}

// `useBigInt64`: 64-bit integers are bigint and nothing else is, so u64 fields and numbers never mix.
// The encoder counts the leaves as a level of their own.
const encoder = new Encoder({ useBigInt64: true, maxDepth: MESSAGE_DEPTH_MAX + 1 });

const noExtensions = new ExtensionCodec();

const decoder = new Decoder({
  useBigInt64: true,
  extensionCodec: noExtensions,
  maxExtLength: 0,
  maxMapLength: 0,
  // No list of ours is longer; the kinds below set the real limit of each field.
  maxArrayLength: 1 << 16,
});

function decodeData(name: string, bytes: Uint8Array): unknown {
  refuseBombs(name, bytes);
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new MessageError(
      "ERR_HOLDFAST_MESSAGE_MALFORMED",
      `${name} is not well-formed MessagePack: ${text(cause)}`,
      name,
      { cause },
    );
  }
}

/**
 * Refuses what would cost the decoder more than its bytes: nesting without end, and arrays that announce more entries
 * than bytes follow, for which it would take memory at once. Looks at the bytes alone and never recurses; what is
 * malformed otherwise may pass, the decoder judges that.
 */
function refuseBombs(name: string, bytes: Uint8Array): void {
  const remaining: number[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 0;
  // Items that are announced and have not begun; each takes a byte at least.
  let owed = 1;
  while (offset < bytes.length && owed > 0) {
    const { next, children } = step(view, offset);
    offset = next;
    owed += children - 1;
    if (owed > Math.max(bytes.length - offset, 0)) {
      const reason = `${name} announces ${owed} more entries, ${Math.max(bytes.length - offset, 0)} bytes are left`;
      throw new MessageError("ERR_HOLDFAST_MESSAGE_MALFORMED", reason, name);
    }
    if (children > 0) remaining.push(children);
    else finishOne(remaining);
    if (remaining.length > MESSAGE_DEPTH_MAX) {
      const reason = `${name} nests deeper than ${MESSAGE_DEPTH_MAX}`;
      throw new MessageError("ERR_HOLDFAST_MESSAGE_LIMIT", reason, name);
    }
  }
}

/** Counts one finished item, and each container that it completes. */
function finishOne(remaining: number[]): void {
  for (let left = remaining.pop(); left !== undefined; left = remaining.pop()) {
    if (left > 1) {
      remaining.push(left - 1);
      return;
    }
  }
}

/** Where the item behind the one at `offset` starts, and how many children that one has. */
function step(view: DataView, offset: number): { readonly next: number; readonly children: number } {
  const tag = view.getUint8(offset);
  if (tag <= 0x7f || tag >= 0xe0) return { next: offset + 1, children: 0 };
  if (tag <= 0x8f) return { next: offset + 1, children: 2 * (tag & 0x0f) };
  if (tag <= 0x9f) return { next: offset + 1, children: tag & 0x0f };
  if (tag <= 0xbf) return { next: offset + 1 + (tag & 0x1f), children: 0 };
  const [header, kind] = TAGS[tag - 0xc0] as readonly [number, "fixed" | "array" | "map" | "sized"];
  const count = kind === "fixed" ? 0 : lengthAt(view, offset + 1, header);
  if (kind === "array") return { next: offset + 1 + header, children: count };
  if (kind === "map") return { next: offset + 1 + header, children: 2 * count };
  return { next: offset + 1 + header + count, children: 0 };
}

function lengthAt(view: DataView, offset: number, sizeBytes: number): number {
  // A length cut off by the end of the input: the decoder will say so.
  if (offset + sizeBytes > view.byteLength) return 0;
  if (sizeBytes === 1) return view.getUint8(offset);
  return sizeBytes === 2 ? view.getUint16(offset) : view.getUint32(offset);
}

/** For each tag from 0xc0 to 0xdf: bytes behind the tag that are fixed or that hold a length. Extensions are skipped roughly: the decoder refuses them. */
const TAGS: readonly (readonly [number, "fixed" | "array" | "map" | "sized"])[] = [
  [0, "fixed"],
  [0, "fixed"],
  [0, "fixed"],
  [0, "fixed"],
  [1, "sized"],
  [2, "sized"],
  [4, "sized"],
  [1, "sized"],
  [2, "sized"],
  [4, "sized"],
  [4, "fixed"],
  [8, "fixed"],
  [1, "fixed"],
  [2, "fixed"],
  [4, "fixed"],
  [8, "fixed"],
  [1, "fixed"],
  [2, "fixed"],
  [4, "fixed"],
  [8, "fixed"],
  [2, "fixed"],
  [3, "fixed"],
  [5, "fixed"],
  [9, "fixed"],
  [17, "fixed"],
  [1, "sized"],
  [2, "sized"],
  [4, "sized"],
  [2, "array"],
  [4, "array"],
  [2, "map"],
  [4, "map"],
];

function within<T>(key: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw new RangeError(`${key}: ${text(cause)}`, { cause });
  }
}

function shapeError(name: string, cause: unknown): MessageError {
  return new MessageError("ERR_HOLDFAST_MESSAGE_SHAPE", `${name} has a wrong shape: ${text(cause)}`, name, {
    cause,
  });
}

function text(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
