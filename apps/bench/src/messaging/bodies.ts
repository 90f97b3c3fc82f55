/*
 * What the messages say: a hundred bytes as they are, or a value that both sides encode and decode.
 */
import { Decoder, Encoder } from "@msgpack/msgpack";
import type { Answer } from "./echo.ts";

/** The kinds of bodies. */
export type BodyName = "raw" | "msgpack" | "counted";

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

/** The kind of that name, as a process is told it. @throws Error when there is none. */
export function bodyNameOf(word = ""): BodyName {
  if (word === "raw" || word === "msgpack" || word === "counted") return word;
  throw new Error(`there are no bodies "${word}"`);
}

/** @param isCopying - The transport copies what it gets, so the encoder may use the same memory again. */
export function bodiesOf(name: BodyName, isCopying: boolean): Bodies {
  switch (name) {
    case "raw":
      return rawBodies();
    case "msgpack":
      return msgpackBodies(isCopying);
    case "counted":
      return countedBodies();
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

/** A request that bears a number. */
export function numbered(number: number): Uint8Array {
  const body = new Uint8Array(RAW_BYTES);
  new DataView(body.buffer).setUint32(0, number);
  return body;
}

/** The number of a request, or of the one that an answer is for. */
export function numberOf(body: Uint8Array): number {
  return new DataView(body.buffer, body.byteOffset).getUint32(0);
}

/** How often the server has done what an answer is for. */
export function countOf(answer: Uint8Array): number {
  return new DataView(answer.buffer, answer.byteOffset).getUint32(4);
}

/** Answers that tell how often their request came. */
function countedBodies(): Bodies {
  const counts = new Map<number, number>();
  return {
    ...rawBodies(),
    answer: (request) => {
      const number = numberOf(request);
      const count = (counts.get(number) ?? 0) + 1;
      counts.set(number, count);
      const answer = numbered(number);
      new DataView(answer.buffer).setUint32(4, count);
      return answer;
    },
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
