import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InFlight, type ReplyTarget } from "../../src/nbd/in-flight.ts";
import { NbdProtocolError } from "../../src/nbd/nbd-error.ts";
import { ReplyParser } from "../../src/nbd/reply-parser.ts";
import { chunk, simpleReply } from "./scripted-server.ts";

const [NONE, DATA, HOLE, ERROR] = [0, 1, 2, 0x8001];
const OFFSET = 8192;

/** A connection with a read of 16 bytes at {@link OFFSET} in slot 0 and a write in slot 1. */
class Bench {
  readonly inFlight = new InFlight<ReplyTarget>(4);
  readonly arena = new Uint8Array(48).fill(0xee);
  readonly answers: unknown[] = [];
  readonly parser: ReplyParser<ReplyTarget>;
  readonly read: bigint;
  readonly write: bigint;

  constructor(isStructured: boolean) {
    this.parser = new ReplyParser(this.inFlight, isStructured, (slot, errno, said) => {
      this.answers.push([slot, errno, said]);
      this.inFlight.remove(slot);
    });
    const memory = this.arena.subarray(16, 32);
    this.read = this.#add({ isRead: true, offsetBytes: OFFSET, lengthBytes: 16, memory });
    this.write = this.#add({ isRead: false, offsetBytes: 0, lengthBytes: 16, memory: new Uint8Array(16) });
  }

  feed(...parts: readonly Uint8Array[]): void {
    for (const part of parts) this.parser.feed(part);
  }

  get got(): readonly number[] {
    return [...this.arena.subarray(16, 32)];
  }

  /** True if nothing outside the memory of the read was touched. */
  get isFrameWhole(): boolean {
    return [...this.arena.subarray(0, 16), ...this.arena.subarray(32)].every((byte) => byte === 0xee);
  }

  #add(target: ReplyTarget): bigint {
    const slot = this.inFlight.add(target);
    return (BigInt(this.inFlight.sequence(slot)) << 32n) | BigInt(slot);
  }
}

function data(offset: number, bytes: Uint8Array): Uint8Array {
  const payload = Buffer.alloc(8 + bytes.length);
  payload.writeBigUInt64BE(BigInt(offset), 0);
  payload.set(bytes, 8);
  return payload;
}

function hole(offset: number, length: number): Uint8Array {
  const payload = Buffer.alloc(12);
  payload.writeBigUInt64BE(BigInt(offset), 0);
  payload.writeUInt32BE(length, 8);
  return payload;
}

function failure(errno: number, text: string, saidBytes: number = text.length): Uint8Array {
  const payload = Buffer.alloc(6 + text.length);
  payload.writeUInt32BE(errno, 0);
  payload.writeUInt16BE(saidBytes, 4);
  payload.write(text, 6);
  return payload;
}

const SIXTEEN = Uint8Array.from({ length: 16 }, (_, index) => index + 1);

describe("simple replies", () => {
  test("a read's data goes where it was asked for, however the bytes are cut", () => {
    const bench = new Bench(false);

    for (const byte of simpleReply(bench.read, 0, SIXTEEN)) bench.feed(new Uint8Array([byte]));

    expect(bench.got).toEqual([...SIXTEEN]);
    expect(bench.answers).toEqual([[0, 0, ""]]);
    expect(bench.parser.isAtRest).toBe(true);
  });

  test("answers come in any order, and errors without data", () => {
    const bench = new Bench(false);

    bench.feed(Buffer.concat([simpleReply(bench.write, 0), simpleReply(bench.read, 5)]));

    expect(bench.answers).toEqual([
      [1, 0, ""],
      [0, 5, ""],
    ]);
  });

  test("what nobody waits for any more is passed over", () => {
    const inFlight = new InFlight<ReplyTarget>(1);
    const answers: number[] = [];
    const parser = new ReplyParser(inFlight, false, (slot) => answers.push(slot));
    const target: {
      isRead: boolean;
      offsetBytes: number;
      lengthBytes: number;
      memory: Uint8Array | undefined;
    } = {
      isRead: true,
      offsetBytes: 0,
      lengthBytes: 16,
      memory: new Uint8Array(16),
    };
    const { memory } = target;
    inFlight.add(target);
    parser.feed(simpleReply(1n << 32n, 0, SIXTEEN.subarray(0, 4)));

    target.memory = undefined;
    parser.feed(SIXTEEN.subarray(4));

    expect([...(memory ?? [])].slice(0, 5)).toEqual([1, 2, 3, 4, 0]);
    expect(answers).toEqual([0]);
  });
});

describe("structured replies", () => {
  test("data and holes come in any order and make one answer", () => {
    const bench = new Bench(true);

    bench.feed(
      chunk(bench.read, DATA, data(OFFSET + 8, SIXTEEN.subarray(8))),
      chunk(bench.read, HOLE, hole(OFFSET, 8)),
      chunk(bench.read, NONE, new Uint8Array(0), true),
    );

    expect(bench.got).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 9, 10, 11, 12, 13, 14, 15, 16]);
    expect(bench.answers).toEqual([[0, 0, ""]]);
  });

  test("data sent twice does not stand for data that never came", () => {
    for (const [first, second] of [
      [0, 0],
      [8, 8],
      [4, 0],
    ] as const) {
      const bench = new Bench(true);

      bench.feed(chunk(bench.read, DATA, data(OFFSET + first, SIXTEEN.subarray(0, 8))));

      const last = chunk(bench.read, DATA, data(OFFSET + second, SIXTEEN.subarray(0, 8)), true);
      expect(() => bench.feed(last)).toThrow(NbdProtocolError);
      expect(bench.answers).toEqual([]);
    }
  });

  test("data that comes in many pieces out of order makes one answer", () => {
    const bench = new Bench(true);

    for (const at of [5, 12, 0, 8, 4, 15])
      bench.feed(
        chunk(
          bench.read,
          DATA,
          data(OFFSET + at, SIXTEEN.subarray(at, { 5: 8, 12: 15, 0: 4, 8: 12 }[at] ?? at + 1)),
        ),
      );
    bench.feed(chunk(bench.read, NONE, new Uint8Array(0), true));

    expect(bench.got).toEqual([...SIXTEEN]);
    expect(bench.answers).toEqual([[0, 0, ""]]);
  });

  test("an error counts, with the server's words, though data came before and after", () => {
    const bench = new Bench(true);

    bench.feed(
      chunk(bench.read, DATA, data(OFFSET, SIXTEEN.subarray(0, 8))),
      chunk(bench.read, ERROR, failure(5, "bad\u0007 sector")),
      chunk(bench.read, DATA, data(OFFSET + 8, SIXTEEN.subarray(8)), true),
    );

    expect(bench.answers).toEqual([[0, 5, "bad  sector"]]);
  });

  test("errors of later kinds count too", () => {
    const bench = new Bench(true);

    bench.feed(chunk(bench.write, 0x8077, failure(28, "full"), true));

    expect(bench.answers).toEqual([[1, 28, "full"]]);
  });
});

describe("a server that breaks the protocol is found out", () => {
  test.each<[string, boolean, (bench: Bench) => readonly Uint8Array[]]>([
    ["wrong magic number", false, () => [Buffer.alloc(16)]],
    ["wrong magic number", false, ({ read }) => [chunk(read, NONE, new Uint8Array(0), true)]],
    ["not in flight", false, () => [simpleReply(99n, 0)]],
    ["not in flight", false, ({ read }) => [simpleReply(read + (1n << 32n), 0)]],
    ["not in flight", false, ({ write }) => [simpleReply(write, 0), simpleReply(write, 0)]],
    ["without chunks", true, ({ read }) => [simpleReply(read, 0, SIXTEEN)]],
    ["empty chunk is not empty", true, ({ read }) => [chunk(read, NONE, new Uint8Array(4), true)]],
    ["empty chunk is not empty", true, ({ read }) => [chunk(read, NONE, new Uint8Array(0), false)]],
    ["chunk of type 5", true, ({ read }) => [chunk(read, 5, new Uint8Array(16), true)]],
    ["something else than a read", true, ({ write }) => [chunk(write, DATA, data(0, SIXTEEN), true)]],
    ["with 25 bytes", true, ({ read }) => [chunk(read, DATA, data(OFFSET, new Uint8Array(17)), true)]],
    ["with 8 bytes", true, ({ read }) => [chunk(read, DATA, data(OFFSET, new Uint8Array(0)), true)]],
    ["with 13 bytes", true, ({ read }) => [chunk(read, HOLE, new Uint8Array(13), true)]],
    ["with 4111 bytes", true, ({ read }) => [chunk(read, ERROR, new Uint8Array(4111), true)]],
    ["outside of what was asked", true, ({ read }) => [chunk(read, DATA, data(OFFSET - 1, SIXTEEN), true)]],
    ["outside of what was asked", true, ({ read }) => [chunk(read, DATA, data(OFFSET + 1, SIXTEEN), true)]],
    ["outside of what was asked", true, ({ read }) => [chunk(read, HOLE, hole(OFFSET, 0xffffffff), true)]],
    [
      "more data than",
      true,
      ({ read }) => [chunk(read, HOLE, hole(OFFSET, 16)), chunk(read, HOLE, hole(OFFSET, 1))],
    ],
    ["less data than", true, ({ read }) => [chunk(read, HOLE, hole(OFFSET, 15), true)]],
    ["error without a number", true, ({ read }) => [chunk(read, ERROR, failure(0, ""), true)]],
    ["longer than the chunk", true, ({ read }) => [chunk(read, ERROR, failure(5, "x", 2), true)]],
  ])("%s (structured: %s)", (reason, isStructured, attack) => {
    const bench = new Bench(isStructured);

    expect(() => bench.feed(...attack(bench))).toThrow(
      expect.objectContaining({
        code: "ERR_HOLDFAST_NBD_PROTOCOL",
        message: expect.stringContaining(reason) as unknown,
      }) as Error,
    );
    expect(bench.isFrameWhole).toBe(true);
  });

  test("no bytes whatever reach other memory, answer twice or fail otherwise than as a protocol error", () => {
    const cookie = fc.constantFrom("read", "write", "other");
    const parts = fc.array(
      fc.tuple(
        fc.constantFrom<"simple" | "data" | "hole" | "error" | "none" | "noise">(
          "simple",
          "data",
          "hole",
          "error",
          "none",
          "noise",
        ),
        cookie,
        fc.integer({ min: -4, max: 20 }),
        fc.nat(20),
        fc.boolean(),
        fc.option(fc.tuple(fc.nat(60), fc.nat(255)), { nil: undefined }),
      ),
      { maxLength: 6 },
    );

    fc.assert(
      fc.property(parts, fc.boolean(), fc.integer({ min: 1, max: 64 }), (all, isStructured, cut) => {
        const bench = new Bench(isStructured);
        const bytes = Buffer.concat(all.map((part) => attackBytes(bench, ...part)));

        try {
          for (let at = 0; at < bytes.length; at += cut) bench.feed(bytes.subarray(at, at + cut));
        } catch (error) {
          if (!(error instanceof NbdProtocolError)) throw error;
        }

        expect(bench.isFrameWhole).toBe(true);
        const slots = bench.answers.map((answer) => (answer as readonly unknown[])[0]);
        expect(new Set(slots).size).toBe(slots.length);
      }),
      { numRuns: 2000 },
    );
  });
});

function attackBytes(
  bench: Bench,
  kind: "simple" | "data" | "hole" | "error" | "none" | "noise",
  whose: string,
  offset: number,
  length: number,
  isLast: boolean,
  mutation: readonly [number, number] | undefined,
): Buffer {
  const cookie = whose === "read" ? bench.read : whose === "write" ? bench.write : 77n;
  const at = OFFSET + offset;
  const bytes = {
    simple: () => simpleReply(cookie, isLast ? 0 : length, SIXTEEN),
    data: () => chunk(cookie, DATA, data(at, SIXTEEN.subarray(0, length)), isLast),
    hole: () => chunk(cookie, HOLE, hole(at, length), isLast),
    error: () => chunk(cookie, ERROR, failure(length, "text"), isLast),
    none: () => chunk(cookie, NONE, new Uint8Array(0), true),
    noise: () => Buffer.alloc(length, offset),
  }[kind]();
  const [place, value] = mutation ?? [0, bytes[0] ?? 0];
  if (bytes.length > 0) bytes[place % bytes.length] = value;
  return bytes;
}
