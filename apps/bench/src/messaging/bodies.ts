/*
 * What the messages say: a hundred bytes as they are, or a value that both sides encode and decode.
 */
import { Decoder, Encoder } from "@msgpack/msgpack";
import type { Answer } from "./echo.ts";

/** The kinds of bodies. */
export type BodyName = "raw" | "msgpack";

/** The bodies of one client or one server. */
export interface Bodies {
  /** The next request. */
  next(): Uint8Array;
  /** Takes an answer. @throws Error when it is not that of {@link next}. */
  check(body: Uint8Array): void;
  readonly answer: Answer;
}

/** Bytes of a raw body: about what a lock request has. */
const RAW_BYTES = 100;

/** About what a request for a lock says: who, what, between which keys. 94 bytes once encoded. */
const VALUE: readonly unknown[] = [
  7,
  "write",
  new Uint8Array(32).fill(1),
  new Uint8Array(32).fill(2),
  123_456_789,
  true,
  ["a", "b", 3],
];

/** @param isCopying - The transport copies what it gets, so the encoder may use the same memory again. */
export function bodiesOf(name: BodyName, isCopying: boolean): Bodies {
  switch (name) {
    case "raw":
      return rawBodies();
    case "msgpack":
      return msgpackBodies(isCopying);
  }
}

function rawBodies(): Bodies {
  const body = new Uint8Array(RAW_BYTES).fill(7);
  return {
    next: () => body,
    check: ({ length }) => {
      if (length !== RAW_BYTES) throw new Error(`an echo has ${length} bytes`);
    },
    answer: (request) => request,
  };
}

function msgpackBodies(isCopying: boolean): Bodies {
  const encoder = new Encoder();
  const decoder = new Decoder();
  const encode = (value: unknown): Uint8Array =>
    isCopying ? encoder.encodeSharedRef(value) : encoder.encode(value);
  return {
    next: () => encode(VALUE),
    check: (body) => {
      const value = decoder.decode(body);
      if (!Array.isArray(value) || value.length !== VALUE.length)
        throw new Error("an echo says something else");
    },
    answer: (request) => encode(decoder.decode(request)),
  };
}
