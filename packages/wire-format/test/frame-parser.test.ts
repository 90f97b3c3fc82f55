import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BATCH_HEADER_BYTES,
  encodeFrame,
  FRAME_BODY_BYTES_MAX,
  FrameParser,
  frameSpace,
  writeBatchHeader,
  writeFrame,
  xxhash32,
} from "../src/index.ts";

const HEADER = { seq: 1, recvSeq: 2, id: 3, command: 4, error: 5, flags: 0 };

describe("a frame parser", () => {
  test("finds the same frames however the stream is cut", () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 });
    fc.assert(
      fc.property(bodies, fc.infiniteStream(fc.integer({ min: 0, max: 120 })), (given, cuts) => {
        const stream = streamOf(given);
        const parser = new FrameParser();
        const found: { readonly seq: number; readonly body: readonly number[] }[] = [];

        for (let offset = 0; offset < stream.length;) {
          const length = cuts.next().value;
          // Each chunk is overwritten afterwards, as a socket does with its buffer.
          const chunk = stream.slice(offset, offset + length);
          parser.push(chunk, ({ seq, body }) => {
            found.push({ seq, body: [...body] });
            return true;
          });
          chunk.fill(0xee);
          offset += length;
        }

        expect(found).toEqual(given.map((body, index) => ({ seq: index + 1, body: [...body] })));
        expect(parser.pendingBytes).toBe(0);
      }),
    );
  });

  test("takes nothing for its own that stands behind a chunk in the memory that two readers use again and again", () => {
    const memory = new Uint8Array(400);
    const bodies = [
      new Uint8Array(0),
      Uint8Array.of(1),
      new Uint8Array(100).fill(2),
      new Uint8Array(300).fill(3),
    ];
    const stream = streamOf(bodies);
    const readers = [0, 1].map(() => ({ parser: new FrameParser(), found: [] as Uint8Array[] }));

    for (const stepBytes of [1, 33, 64, 150, memory.length]) {
      for (const reader of readers) reader.found.length = 0;
      for (let offset = 0; offset < stream.length; offset += stepBytes) {
        for (const { parser, found } of readers) {
          const part = stream.subarray(offset, offset + stepBytes);
          // What the last read left stays, whole batches among it.
          memory.set(part);
          parser.push(memory.subarray(0, part.length), ({ body }) => found.push(body.slice()) > 0);
        }
      }

      for (const { found } of readers) expect(found).toEqual(bodies);
    }
  });

  test("finds the same frames byte by byte", () => {
    const bodies = [new Uint8Array(0), Uint8Array.of(1), new Uint8Array(100).fill(2)];
    const parser = new FrameParser();
    const lengths: number[] = [];

    for (const value of streamOf(bodies)) {
      parser.push(Uint8Array.of(value), ({ body }) => lengths.push(body.length) > 0);
    }

    expect(lengths).toEqual([0, 1, 100]);
  });

  test("counts the frames of a batch on from its number, and gives them all its acknowledgement", () => {
    const numbers: (readonly number[])[] = [];

    new FrameParser().push(batchOf([Uint8Array.of(1), Uint8Array.of(2)], 9), ({ seq, recvSeq }) => {
      numbers.push([seq, recvSeq]);
      return true;
    });

    expect(numbers).toEqual([
      [9, 2],
      [10, 2],
    ]);
  });

  test("leaves the frames of a batch outside the sequence at number 0", () => {
    const numbers: number[] = [];

    new FrameParser().push(batchOf([Uint8Array.of(1), Uint8Array.of(2)], 0), ({ seq }) => {
      numbers.push(seq);
      return true;
    });

    expect(numbers).toEqual([0, 0]);
  });

  test("tells how much of an incomplete batch it holds", () => {
    const frame = encodeFrame(HEADER, new Uint8Array(100));
    const parser = new FrameParser();

    parser.push(frame.subarray(0, 30), () => true);
    expect(parser.pendingBytes).toBe(30);
    parser.push(frame.subarray(30, 60), () => true);
    expect(parser.pendingBytes).toBe(60);
    parser.push(frame.subarray(60), () => true);
    expect(parser.pendingBytes).toBe(0);
  });

  test("calls for nothing while any end of the last frame is missing", () => {
    const frame = encodeFrame(HEADER, Uint8Array.of(1, 2, 3));

    for (let length = 0; length < frame.length; length += 1) {
      let calls = 0;
      new FrameParser().push(frame.subarray(0, length), () => (calls += 1) > 0);
      expect(calls).toBe(0);
    }
  });

  test("passes a body on without copying when its frame came whole", () => {
    const frame = encodeFrame(HEADER, Uint8Array.of(1, 2, 3));

    new FrameParser().push(frame, ({ body }) => {
      expect(body.buffer).toBe(frame.buffer);
      return true;
    });
    expect.assertions(1);
  });

  test.each([0, 20, 50])(
    "stops for good when it is told to, with %i bytes of the frame sent before",
    (cut) => {
      const stream = streamOf([Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)]);
      const parser = new FrameParser();
      let calls = 0;
      const onFrame = (): boolean => {
        calls += 1;
        return false;
      };

      parser.push(stream.subarray(0, cut), onFrame);
      parser.push(stream.subarray(cut), onFrame);
      parser.push(streamOf([Uint8Array.of(4)]), onFrame);

      expect(calls).toBe(1);
    },
  );
});

describe("damage to a stream", () => {
  test("each single-bit flip ends it with an error, before any frame of it is passed on", () => {
    const frame = encodeFrame(HEADER, Uint8Array.of(1, 2, 3, 4));

    for (let bit = 0; bit < frame.length * 8; bit += 1) {
      const damaged = frame.slice();
      damaged[bit >> 3] = (frame[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      let calls = 0;
      const parser = new FrameParser();
      const push = (chunk: Uint8Array): void => parser.push(chunk, () => (calls += 1) > 0);

      expect(() => {
        push(damaged.subarray(0, 50));
        push(damaged.subarray(50));
      }).toThrow(expect.objectContaining({ code: "ERR_HOLDFAST_FRAME_CHECKSUM" }));
      push(frame);
      expect(calls).toBe(0);
    }
  });

  test("a flip in any frame of a batch keeps back all of them", () => {
    const batch = batchOf([Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)], 1);
    for (let index = BATCH_HEADER_BYTES; index < batch.length; index += 1) {
      const damaged = batch.slice();
      damaged[index] = (batch[index] ?? 0) ^ 1;
      let calls = 0;

      expect(() => new FrameParser().push(damaged, () => (calls += 1) > 0)).toThrow(
        expect.objectContaining({ code: "ERR_HOLDFAST_FRAME_CHECKSUM" }),
      );
      expect(calls).toBe(0);
    }
  });

  test("a batch without a frame is none", () => {
    const empty = batchOf([], 1);

    expect(() => new FrameParser().push(empty, () => true)).toThrow(
      expect.objectContaining({ code: "ERR_HOLDFAST_FRAME_TRUNCATED" }),
    );
  });

  test("a header that announces four gibibytes is refused before anything is kept for it", () => {
    const crafted = encodeFrame(HEADER, new Uint8Array(0));
    const view = new DataView(crafted.buffer);
    view.setUint32(4, 0xffff_ffff, true);
    view.setUint32(0, xxhash32(view, 4, BATCH_HEADER_BYTES), true);
    const parser = new FrameParser();
    parser.push(crafted.subarray(0, 31), () => true);

    expect(() => parser.push(crafted.subarray(31), () => true)).toThrow(
      expect.objectContaining({ code: "ERR_HOLDFAST_FRAME_TOO_LONG", facts: { detail: 0xffff_ffff } }),
    );
  });

  test("no stream makes it hold more than the greatest frame", () => {
    const greatest = encodeFrame(HEADER, new Uint8Array(FRAME_BODY_BYTES_MAX));
    const parser = new FrameParser();
    let most = 0;

    for (let offset = 0; offset < greatest.length; offset += 65_536) {
      parser.push(greatest.subarray(offset, offset + 65_536), () => true);
      most = Math.max(most, parser.pendingBytes);
    }

    expect(most).toBeLessThan(greatest.length);
    expect(parser.pendingBytes).toBe(0);
  });
});

/** One batch for every three bodies, the last one shorter. */
function streamOf(bodies: readonly Uint8Array[]): Uint8Array {
  const batches: Uint8Array[] = [];
  for (let first = 0; first < bodies.length; first += 3)
    batches.push(batchOf(bodies.slice(first, first + 3), first + 1));
  return new Uint8Array(Buffer.concat(batches));
}

function batchOf(bodies: readonly Uint8Array[], seq: number): Uint8Array {
  const space = frameSpace(new Uint8Array(1024));
  let end = BATCH_HEADER_BYTES;
  for (const body of bodies) end = writeFrame(space, end, HEADER, body);
  writeBatchHeader(space, 0, { seq, recvSeq: 2 }, { frames: space, start: BATCH_HEADER_BYTES, end });
  return space.bytes.subarray(0, end);
}
