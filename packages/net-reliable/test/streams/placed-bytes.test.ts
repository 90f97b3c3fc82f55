/*
 * Bytes that the network puts where the stream wants them: nothing is copied, and nothing is ever written over.
 */
import { webAssemblyHost } from "@holdfast/wire-format";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Exchange } from "../../src/streams/exchange.ts";
import { headingFrame } from "../../src/streams/stream-frames.ts";
import { dataHeader } from "./data-header.ts";
import { SLOT_BYTES, SLOT_MARGIN_BYTES, StreamMemory } from "../../src/streams/stream-memory.ts";

const KIB = 1024;

/** Different in every KiB. */
const STOCK = Uint8Array.from({ length: 3200 * KIB }, (_, index) => index ^ (index >>> 8) ^ (index >>> 16));

function receiver(memory: StreamMemory): Exchange {
  const ignore = (): void => {};
  return new Exchange({
    windowBytes: 8192 * KIB,
    isLocal: false,
    memory,
    events: { heading: ignore, readable: ignore, writable: ignore, finished: ignore },
  });
}

/** A heading and data frames of these lengths, whose bytes count. */
function frames(lengths: readonly number[]): { readonly wire: Uint8Array; readonly data: Uint8Array } {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const data = STOCK.subarray(0, total);
  const parts = [headingFrame({ command: 7, isSummed: true }, new Uint8Array(0))];
  let position = 0;
  for (const length of lengths) {
    parts.push(dataHeader(length, position), data.subarray(position, position + length));
    position += length;
  }
  return { wire: new Uint8Array(Buffer.concat(parts)), data };
}

/** As a transport does: at most `most` bytes, to the place that is wanted, or to its own; true if it was the former. */
function deliver(
  exchange: Exchange,
  wire: Uint8Array,
  offset: number,
  most: number,
): [bytes: number, isPlaced: boolean] {
  const place = exchange.place();
  const target = place ?? new Uint8Array(256 * KIB);
  const length = Math.min(most, target.length, wire.length - offset);
  target.set(wire.subarray(offset, offset + length));
  exchange.receive(target.subarray(0, length));
  return [length, place !== undefined];
}

const length = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 100 * KIB, max: 400 * KIB }),
  fc.constant(256 * KIB),
);

describe("bytes in place", () => {
  test("come out whole, whatever the frames, the reads and the reader's pace", () => {
    const plan = fc.record({
      lengths: fc.array(length, { minLength: 1, maxLength: 8 }),
      reads: fc.array(fc.integer({ min: 1, max: 300 * KIB }), { minLength: 1, maxLength: 8 }),
      pace: fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
    });
    fc.assert(
      fc.property(plan, ({ lengths, reads, pace }) => {
        const exchange = receiver(new StreamMemory(undefined));
        const { incoming } = exchange;
        const { wire, data } = frames(lengths);
        const pieces: Uint8Array[] = [];
        let lent: { readonly view: Uint8Array; readonly copy: Uint8Array } | undefined;
        let areLentWhole = true;
        /** Gives back what is lent, which must still stand, and takes the next. */
        const turnPage = (): boolean => {
          if (lent !== undefined) areLentWhole &&= Buffer.compare(lent.view, lent.copy) === 0;
          incoming.release();
          const view = incoming.read();
          lent = view === undefined ? undefined : { view, copy: view.slice() };
          if (lent !== undefined) pieces.push(lent.copy);
          return lent !== undefined;
        };

        for (let offset = 0, turn = 0; offset < wire.length; turn += 1) {
          // Reads of a byte at a time would take all day.
          const most = Math.max(reads[turn % reads.length] ?? 1, wire.length >> 8);
          offset += deliver(exchange, wire, offset, most)[0];
          if (pace[turn % pace.length] === true) turnPage();
        }
        while (turnPage());

        expect(areLentWhole).toBe(true);
        expect(Buffer.compare(Buffer.concat(pieces), data)).toBe(0);
      }),
      { numRuns: 25 },
    );
  });

  test("is where all of a long frame goes once one has been seen, its header too", () => {
    const exchange = receiver(new StreamMemory(undefined));
    const { wire } = frames(Array.from({ length: 8 }, () => 256 * KIB));
    const placed: boolean[] = [];

    for (let offset = 0; offset < wire.length;) {
      const [bytes, isPlaced] = deliver(exchange, wire, offset, wire.length);
      offset += bytes;
      placed.push(isPlaced);
    }

    expect(placed.slice(1)).not.toContain(false);
    expect(placed.length).toBeLessThan(12);
  });

  test("cannot be lent to another stream while the network may still write there", () => {
    const memory = new StreamMemory(webAssemblyHost());
    const exchange = receiver(memory);
    const { wire } = frames([256 * KIB, 256 * KIB]);
    exchange.receive(wire.subarray(0, 200 * KIB));
    const place = exchange.place();

    exchange.incoming.stop();

    const next = memory.takeSlot();
    expect(next.byteOffset).not.toBe(slotOf(place));
    expect(exchange.place()).toBeUndefined();
    expect(memory.takeSlot().byteOffset).toBe(slotOf(place));
  });

  test("that the reader has are not lent to another stream while it looks at them, whatever ends the stream", () => {
    const memory = new StreamMemory(webAssemblyHost());
    const exchange = receiver(memory);
    exchange.receive(frames([1000]).wire);
    const { incoming } = exchange;
    const view = incoming.read();

    incoming.stop();

    expect(memory.takeSlot().byteOffset).not.toBe(slotOf(view));
    incoming.release();
    expect(memory.takeSlot().byteOffset).toBe(slotOf(view));
  });

  test("are given back when the connection is gone", () => {
    const memory = new StreamMemory(webAssemblyHost());
    const exchange = receiver(memory);
    exchange.receive(frames([256 * KIB]).wire.subarray(0, 200 * KIB));
    const place = exchange.place();

    exchange.incoming.stop();
    exchange.incoming.disconnected();

    expect(memory.takeSlot().byteOffset).toBe(slotOf(place));
  });
});

/** Slots begin at multiples of their stride, after 64 KiB. */
function slotOf(place: Uint8Array | undefined): number {
  const strideBytes = SLOT_BYTES + 2 * SLOT_MARGIN_BYTES;
  return 64 * KIB + Math.floor(((place?.byteOffset ?? 0) - 64 * KIB) / strideBytes) * strideBytes;
}
