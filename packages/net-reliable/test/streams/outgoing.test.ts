/*
 * How far a sender goes: frames that begin short, credit that comes in time, segments that the system's congestion control
 * counts.
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { STREAM_LOCAL_WINDOW_BYTES, STREAM_WINDOW_BYTES } from "../../src/index.ts";
import { Exchange } from "../../src/streams/exchange.ts";
import { STREAM_HEADER_BYTES, headingFrame } from "../../src/streams/stream-frames.ts";
import { streamMemory } from "../../src/streams/stream-memory.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const HEADING = { command: 7, isSummed: false };

/** What a segment of the loopback device holds, over IPv4. */
const SEGMENT_BYTES = 65_483;

function exchange(windowBytes: number, isLocal: boolean): Exchange {
  const ignore = (): void => {};
  return new Exchange({
    windowBytes,
    isLocal,
    memory: streamMemory(),
    events: { heading: ignore, readable: ignore, writable: ignore, finished: ignore },
  });
}

/** A sender and its reader, with nothing between them. */
class Way {
  readonly #sender: Exchange;
  readonly #reader: Exchange;
  readonly #piece = new Uint8Array(2 * MIB);

  constructor(windowBytes: number, isLocal: boolean) {
    this.#sender = exchange(windowBytes, isLocal);
    this.#reader = exchange(windowBytes, isLocal);
    this.#sender.heading(HEADING, new Uint8Array(0));
    this.#reader.receive(headingFrame(HEADING, new Uint8Array(0)));
    this.#sender.receive(this.#reader.credit());
  }

  /** Sends as much of a piece as may go; the lengths of its frames. */
  send(pieceBytes: number): number[] {
    const lengths: number[] = [];
    for (let offset = 0; offset < pieceBytes;) {
      const length = this.#sender.outgoing.frameBytes(pieceBytes - offset);
      if (length === 0) break;
      const payload = this.#piece.subarray(0, length);
      this.#sender.outgoing.data(payload, (header) => this.#reader.receive(header.slice()));
      this.#reader.receive(payload);
      lengths.push(length);
      offset += length;
    }
    return lengths;
  }

  /** Reads all that has come, and says so as far as it is said. */
  read(): void {
    const { incoming } = this.#reader;
    while (incoming.read() !== undefined) if (incoming.release()) this.#sender.receive(this.#reader.credit());
  }

  /** Sends a piece to a reader that reads whenever the sender waits. */
  sendAll(pieceBytes: number): number[] {
    const lengths: number[] = [];
    for (let rest = pieceBytes; rest > 0;) {
      const sent = this.send(rest);
      if (sent.length === 0) throw new Error(`waits for ever with ${rest} of ${pieceBytes} bytes`);
      for (const length of sent) rest -= length;
      lengths.push(...sent);
      this.read();
    }
    return lengths;
  }
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}

describe("frames", () => {
  test("begin short and grow with what went before, up to a quarter of a window", () => {
    const way = new Way(MIB, false);
    const lengths = [way.sendAll(2 * MIB), way.sendAll(2 * MIB)].flat();

    expect(lengths.slice(0, 10)).toEqual([...Array.from({ length: 9 }, () => 16_384), 18_432]);
    expect(lengths.filter((length) => length === 256 * KIB).length).toBeGreaterThan(5);
    expect(Math.max(...lengths)).toBe(256 * KIB);
  });

  test.each([
    ["1 MiB", MIB, [261_760, 261_760, 261_760, 263_296]],
    ["256 KiB", 256 * KIB, [256 * KIB]],
    ["300 KiB", 300 * KIB, [261_760, 45_440]],
    ["less than a segment", 1000, [1000]],
  ])("within a host fill whole segments, but the last one of a piece of %s", (_, pieceBytes, lengths) => {
    const way = new Way(STREAM_LOCAL_WINDOW_BYTES, true);
    for (let sentBytes = 0; sentBytes < 3 * MIB; sentBytes += MIB) way.sendAll(MIB);

    expect(way.sendAll(pieceBytes)).toEqual(lengths);
  });

  test("over TLS are never longer than a frame may be", () => {
    const way = new Way(STREAM_WINDOW_BYTES, false);
    for (let sentBytes = 0; sentBytes < 8 * MIB; sentBytes += MIB) way.sendAll(MIB);

    expect(way.sendAll(MIB + 1000)).toEqual([MIB, 1000]);
  });
});

describe("a sender", () => {
  test.each([true, false])(
    "never waits for a reader that has read everything (within a host: %s)",
    (isLocal) => {
      const length = fc.oneof(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 100 * KIB }),
        fc.integer({ min: 1, max: 2 * MIB }),
      );
      fc.assert(
        fc.property(
          fc.oneof(fc.integer({ min: 1, max: 2 * MIB }), fc.constant(STREAM_LOCAL_WINDOW_BYTES)),
          fc.array(length, { minLength: 1, maxLength: 8 }),
          (windowBytes, pieces) => {
            const way = new Way(windowBytes, isLocal);
            for (const pieceBytes of windowBytes < KIB ? pieces.map((bytes) => bytes % 5000) : pieces)
              expect(total(way.sendAll(pieceBytes))).toBe(pieceBytes);
          },
        ),
        { numRuns: 60 },
      );
    },
  );

  test("within a host never waits for ever, when each frame is hardly longer than segments are", () => {
    const length = fc.oneof(
      fc.integer({ min: 32_710, max: 34_000 }),
      fc.integer({ min: 65_440, max: 66_400 }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 261_900, max: 270_000 }),
        fc.array(length, { minLength: 60, maxLength: 120 }),
        (windowBytes, pieces) => {
          const way = new Way(windowBytes, true);
          for (const pieceBytes of pieces) expect(total(way.sendAll(pieceBytes))).toBe(pieceBytes);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("within a host begins with three frames under way", () => {
    expect(new Way(STREAM_LOCAL_WINDOW_BYTES, true).send(MIB)).toEqual([16_384, 16_384, 16_384]);
  });

  test("that another host may be far from uses the whole window from the start", () => {
    const lengths = new Way(STREAM_WINDOW_BYTES, false).send(MIB);

    expect(total(lengths)).toBe(MIB);
  });

  test.each([64, 100, 200, 256, 300, 1024])(
    "within a host has at most 17 segments under way, in pieces of %i KiB",
    (pieceKib) => {
      const way = new Way(STREAM_LOCAL_WINDOW_BYTES, true);
      for (let sentBytes = 0; sentBytes < 8 * MIB; sentBytes += pieceKib * KIB) way.sendAll(pieceKib * KIB);

      const lengths: number[] = [];
      for (let sent = way.send(pieceKib * KIB); sent.length > 0; sent = way.send(pieceKib * KIB))
        lengths.push(...sent);

      const count = total(lengths.map((length) => Math.ceil((length + STREAM_HEADER_BYTES) / SEGMENT_BYTES)));
      expect(count).toBeLessThanOrEqual(17);
      expect(count).toBeGreaterThanOrEqual(10);
    },
  );
});
