/*
 * The machine of one exchange: any cutting of the bytes, any damage, any order that is not the one of the protocol.
 */
import * as fc from "fast-check";
import { crc32c } from "@holdfast/wire-format";
import { describe, expect, test } from "vitest";
import { StreamError } from "../../src/index.ts";
import { Exchange } from "../../src/streams/exchange.ts";
import { STOPPED } from "../../src/streams/incoming.ts";
import {
  STREAM_FRAME,
  StreamTrailer,
  codeBytes,
  headingFrame,
  streamFrame,
} from "../../src/streams/stream-frames.ts";
import { dataHeader } from "./data-header.ts";
import { streamMemory } from "../../src/streams/stream-memory.ts";
import { StreamSum } from "../../src/streams/stream-sum.ts";

const WINDOW_BYTES = 64;
const HEADING = { command: 7, isSummed: true };

class Side {
  readonly log: string[] = [];
  readonly exchange: Exchange;

  constructor() {
    this.exchange = new Exchange({
      windowBytes: WINDOW_BYTES,
      isLocal: true,
      memory: streamMemory(),
      events: {
        heading: (command, body) => this.log.push(`heading ${command} ${[...body].join(" ")}`.trim()),
        readable: () => this.log.push("readable"),
        writable: () => this.log.push("writable"),
        finished: () => this.log.push("finished"),
      },
    });
  }

  /** Everything that can be read now. */
  drain(): number[] {
    const all: number[] = [];
    for (
      let piece = this.exchange.incoming.read();
      piece !== undefined;
      piece = this.exchange.incoming.read()
    ) {
      all.push(...piece);
      this.exchange.incoming.release();
    }
    return all;
  }
}

/** A whole direction as bytes: heading 7 with body 1 2 3, `data` in frames of at most `frameBytes`, trailer. */
function direction(data: Uint8Array, frameBytes: number, code = ""): Uint8Array {
  const parts = [headingFrame(HEADING, new Uint8Array([1, 2, 3]))];
  for (let offset = 0; offset < data.length; offset += frameBytes) {
    const payload = data.subarray(offset, offset + frameBytes);
    parts.push(dataHeader(payload.length, offset), payload);
  }
  const trailer = { streamChecksum: sumOf(data), code: codeBytes(code) };
  parts.push(streamFrame(STREAM_FRAME.TRAILER, data.length, StreamTrailer.encode(trailer)));
  return new Uint8Array(Buffer.concat(parts));
}

const stream = fc.record({
  data: fc.uint8Array({ maxLength: WINDOW_BYTES }),
  frameBytes: fc.integer({ min: 1, max: WINDOW_BYTES }),
});

describe("a direction", () => {
  test("comes out whole, however its bytes are cut", () => {
    fc.assert(
      fc.property(
        stream,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        ({ data, frameBytes }, cuts) => {
          const side = new Side();
          const bytes = direction(data, frameBytes);

          const read: number[] = [];
          for (let offset = 0, turn = 0; offset < bytes.length; turn += 1) {
            const end = offset + (cuts[turn % cuts.length] ?? 1);
            side.exchange.receive(bytes.slice(offset, end));
            read.push(...side.drain());
            offset = end;
          }

          expect(side.log[0]).toBe("heading 7 1 2 3");
          expect(read).toEqual([...data]);
          expect(side.exchange.incoming.isOver).toBe(true);
          expect(side.exchange.incoming.error).toBeUndefined();
        },
      ),
    );
  });

  test("is never taken for whole when it is cut short", () => {
    fc.assert(
      fc.property(
        stream,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        ({ data, frameBytes }, part) => {
          const side = new Side();
          const bytes = direction(data, frameBytes);

          side.exchange.receive(bytes.subarray(0, Math.floor(part * bytes.length)));

          expect(side.exchange.incoming.isOver).toBe(false);
        },
      ),
    );
  });

  test("is never taken for whole when a bit of it changes", () => {
    fc.assert(
      fc.property(stream, fc.nat(), ({ data, frameBytes }, bit) => {
        const side = new Side();
        const bytes = direction(data, frameBytes);
        const at = bit % (bytes.length * 8);
        bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));

        let error: unknown;
        try {
          side.exchange.receive(bytes);
        } catch (thrown) {
          error = thrown;
        }

        // A changed length may also leave it waiting for bytes that never come.
        expect(error !== undefined || !side.exchange.incoming.isOver).toBe(true);
        expect(error === undefined ? "protocol" : categoryOf(error)).toBe("protocol");
      }),
    );
  });

  test("that failed says with which code", () => {
    const side = new Side();

    side.exchange.receive(direction(new Uint8Array(5), 5, "ERR_HOLDFAST_DEVICE_READ"));

    expect(side.exchange.incoming.error).toMatchObject({
      code: "ERR_HOLDFAST_STREAM_FAILED",
      facts: { reason: "ERR_HOLDFAST_DEVICE_READ" },
    });
  });

  test("without a checksum is whole by its length alone", () => {
    const side = new Side();
    side.exchange.receive(headingFrame({ command: 7, isSummed: false }, new Uint8Array(0)));
    side.exchange.receive(data(0, 3));
    const trailer = StreamTrailer.encode({ streamChecksum: 0, code: codeBytes("") });

    expect(() => side.exchange.receive(streamFrame(STREAM_FRAME.TRAILER, 2, trailer))).toThrow("3 came");
    expect(side.exchange.incoming.isOver).toBe(false);
  });

  test("may be empty", () => {
    const side = new Side();

    side.exchange.receive(direction(new Uint8Array(0), 1));

    expect(side.log).toEqual(["heading 7 1 2 3", "finished", "readable"]);
    expect(side.exchange.incoming.error).toBeUndefined();
  });
});

describe("credit", () => {
  test("is a window from the start, and comes again when a fifth of it was read", () => {
    const side = new Side();
    expect(side.exchange.incoming.grantedBytes).toBe(WINDOW_BYTES);
    side.exchange.receive(headingFrame(HEADING, new Uint8Array(0)));

    side.exchange.receive(data(0, 12));
    side.exchange.incoming.read();
    expect(side.exchange.incoming.release()).toBe(false);
    side.exchange.receive(data(12, 1));
    side.exchange.incoming.read();

    expect(side.exchange.incoming.release()).toBe(true);
    expect(side.exchange.incoming.grantedBytes).toBe(WINDOW_BYTES + 13);
  });

  test("more than it allows breaks the stream", () => {
    const side = new Side();
    side.exchange.receive(headingFrame(HEADING, new Uint8Array(0)));
    side.exchange.receive(data(0, WINDOW_BYTES));

    expect(() => side.exchange.receive(data(WINDOW_BYTES, 1))).toThrow("64 were allowed");
  });

  test("that falls breaks the stream", () => {
    const side = new Side();
    side.exchange.receive(streamFrame(STREAM_FRAME.CREDIT, 100));
    expect(side.exchange.outgoing.frameBytes(100)).toBe(25);

    expect(() => side.exchange.receive(streamFrame(STREAM_FRAME.CREDIT, 99))).toThrow("credit fell");
  });
});

describe("what is out of order breaks the stream", () => {
  const heading = headingFrame(HEADING, new Uint8Array(0));
  const trailer = direction(new Uint8Array(0), 1).subarray(-(24 + StreamTrailer.sizeBytes));

  test.each([
    ["data before the heading", [data(0, 1)]],
    ["a trailer without error before the heading", [trailer]],
    ["a second heading", [heading, heading]],
    ["a heading after the trailer", [heading, trailer, heading]],
    ["data after the trailer", [heading, trailer, data(0, 1)]],
    ["a second trailer", [heading, trailer, trailer]],
    ["a receipt of a trailer that was not sent", [streamFrame(STREAM_FRAME.RECEIVED)]],
    ["data that leaves a gap", [heading, data(1, 1)]],
    ["data that comes again", [heading, data(0, 2), data(0, 2)]],
  ])("%s", (_, frames) => {
    const side = new Side();

    expect(() => frames.forEach((frame) => side.exchange.receive(frame))).toThrow("the stream is damaged");
  });

  test.each([
    ["an unknown type", streamFrame(9)],
    ["a sign of life with a payload", streamFrame(STREAM_FRAME.ALIVE, 0, new Uint8Array(1))],
    ["data of no bytes", dataHeader(0, 0)],
    ["data longer than a frame may be", dataHeader(0x7fff_ffff, 0)],
    ["a heading of 4 GiB", forged(STREAM_FRAME.HEADING, 0xffff_ffff)],
  ])("%s", (_, frame) => {
    expect(() => new Side().exchange.receive(frame)).toThrow("the stream is damaged");
  });
});

describe("an exchange", () => {
  test("that was aborted fails with the other side's code", () => {
    const side = new Side();
    const abort = streamFrame(STREAM_FRAME.ABORT, 0, codeBytes("ERR_HOLDFAST_CANCELLED"));

    expect(() => side.exchange.receive(abort)).toThrow("failed with ERR_HOLDFAST_CANCELLED");
  });

  test("is over when both trailers have passed and ours was received", () => {
    const side = new Side();
    side.exchange.receive(direction(new Uint8Array(0), 1));
    expect(side.exchange.isOver).toBe(false);

    side.exchange.outgoing.trailer("");
    expect(side.exchange.hasBothTrailers).toBe(true);
    expect(side.exchange.isOver).toBe(false);

    side.exchange.receive(streamFrame(STREAM_FRAME.RECEIVED));

    expect(side.exchange.isOver).toBe(true);
  });

  test("whose reader stopped takes no more memory and no checksum, but still counts", () => {
    const side = new Side();
    side.exchange.receive(headingFrame(HEADING, new Uint8Array(0)));
    side.exchange.receive(data(0, 10));

    side.exchange.incoming.stop();
    side.exchange.receive(data(10, 10));
    const trailer = { streamChecksum: 1, code: codeBytes(STOPPED) };
    side.exchange.receive(streamFrame(STREAM_FRAME.TRAILER, 20, StreamTrailer.encode(trailer)));

    expect(side.exchange.incoming.isOver).toBe(true);
  });

  test("what a failing peer calls its error is cut to a code", () => {
    const side = new Side();

    side.exchange.receive(direction(new Uint8Array(0), 1, `secret /etc/passwd ${"x".repeat(100)}`));

    expect(side.exchange.incoming.error?.facts.reason).toMatch(/^secret__etc_passwd_x{45}$/);
  });
});

function sumOf(bytes: Uint8Array): number {
  const sum = new StreamSum();
  sum.update(bytes);
  return sum.digest();
}

function data(position: number, lengthBytes: number): Uint8Array {
  return new Uint8Array(Buffer.concat([dataHeader(lengthBytes, position), new Uint8Array(lengthBytes)]));
}

/** A frame whose header announces a length that is not there. */
function forged(type: number, payloadBytes: number): Uint8Array {
  const frame = dataHeader(payloadBytes, 0);
  const view = new DataView(frame.buffer);
  view.setUint8(0, type);
  view.setUint32(20, crc32c(frame.subarray(0, 20)), true);
  return frame;
}

function categoryOf(error: unknown): string {
  return error instanceof StreamError ? error.category : String(error);
}
