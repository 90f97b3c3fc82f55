/*
 * What every `Transport` owes its users, as vitest tests.
 */
import {
  type ByteStream,
  type Listener,
  type Transport,
  TransportError,
  deferred,
} from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { type Fixture, type FixtureFactory, pattern, sameBytes, withFixture } from "./fixture.ts";
import { StreamCollector } from "./stream-collector.ts";

/** Two ends of a network; they may be one object. */
export interface TransportFixture extends Fixture {
  /** The side that listens. */
  readonly server: Transport;
  /** The side that dials. */
  readonly client: Transport;
  /** An address to listen at; each call gives a free one (a port of 0 will do). */
  readonly listenAddress: () => string;
  /** A well-formed address where nobody listens. */
  readonly deadAddress: string;
  /** What is no address of this transport. */
  readonly malformedAddresses: readonly string[];
}

/** A write of this many bytes without a reader must have met a full queue on the way: 256 MiB. */
const QUEUE_BYTES_MAX = 256 * 1024 * 1024;

/** Registers the suite of {@link Transport} under `name`. */
export function transportSuite(name: string, factory: FixtureFactory<TransportFixture>): void {
  describe(`${name} as a transport`, () => {
    describeDelivery(factory);
    describeQueue(factory);
    describeEnds(factory);
    describeListening(factory);
    describeDialling(factory);
  });
}

function describeDelivery(factory: FixtureFactory<TransportFixture>): void {
  test("bytes arrive in order, both ways", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      far.start();

      for (let part = 0; part < 100; part += 1) {
        near.stream.write(pattern(1 + part * 7, part));
        far.stream.write(pattern(1 + part * 3, part + 1000));
      }
      const [nearParts, farParts] = [joined(7, 0), joined(3, 1000)];
      await settle(Promise.all([far.bytes(nearParts.length), near.bytes(farParts.length)]));

      expect(sameBytes(far.received(), nearParts)).toBe(true);
      expect(sameBytes(near.received(), farParts)).toBe(true);
    }));

  test("the stream copies what it is given to write", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      far.start();
      const small = pattern(100, 1);
      const large = pattern(300_000, 2);

      near.stream.write(small);
      small.fill(0);
      near.stream.write(large);
      large.fill(0);
      await settle(far.bytes(300_100));

      expect(sameBytes(far.received().subarray(0, 100), pattern(100, 1))).toBe(true);
      expect(sameBytes(far.received().subarray(100), pattern(300_000, 2))).toBe(true);
    }));

  test("nothing that comes before the start is lost", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      near.stream.write(pattern(5000, 3));
      // An answer on the other pair of ends would prove nothing; the bytes may be on their way or here.
      far.stream.write(pattern(1, 4));
      await settle(near.bytes(1));

      far.start();
      await settle(far.bytes(5000));

      expect(sameBytes(far.received(), pattern(5000, 3))).toBe(true);
    }));

  test("both ends name their peer", () =>
    withPair(factory, async ({ near, far }) => {
      expect(near.stream.peer).not.toBe("");
      expect(far.stream.peer).not.toBe("");
    }));

  test("a write of no bytes does nothing", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      far.start();

      near.stream.write(new Uint8Array(0));
      near.stream.write(pattern(3, 5));
      await settle(far.bytes(3));

      expect(far.receivedBytes).toBe(3);
    }));
}

function describeQueue(factory: FixtureFactory<TransportFixture>): void {
  test("a writer whose reader stands still is told to stop, and to go on once there is room", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      const part = pattern(64 * 1024, 6);
      let written = 0;

      let hasRoom = true;
      while (hasRoom && written < QUEUE_BYTES_MAX) {
        hasRoom = near.stream.write(part);
        written += part.length;
      }
      expect(hasRoom).toBe(false);
      const queuedBytes = near.stream.queuedBytes;
      expect(queuedBytes).toBeGreaterThan(0);

      far.start();
      await settle(Promise.all([near.until(() => near.drainedCount > 0), far.bytes(written)]));
      expect(far.receivedBytes).toBe(written);
      expect(near.stream.queuedBytes).toBeLessThan(queuedBytes);
    }));

  test("queued bytes are counted until the network has them", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      far.start();
      expect(near.stream.queuedBytes).toBe(0);

      near.stream.write(pattern(1000, 7));
      expect(near.stream.queuedBytes).toBe(1000);

      await settle(far.bytes(1000));
    }));

  test("four mebibytes arrive whole", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      far.start();
      const all = pattern(4 * 1024 * 1024, 8);

      for (let offset = 0; offset < all.length; offset += 50_000) {
        if (near.stream.write(all.subarray(offset, offset + 50_000))) continue;
        const drained = near.drainedCount;
        await settle(near.until(() => near.drainedCount > drained));
      }
      await settle(far.bytes(all.length));

      expect(sameBytes(far.received(), all)).toBe(true);
    }));
}

function describeEnds(factory: FixtureFactory<TransportFixture>): void {
  test("a close comes after what was queued, and ends both sides once", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      far.start();
      near.stream.write(pattern(200_000, 9));

      near.stream.close();
      near.stream.close();
      expect(near.closedCount).toBe(0);
      await settle(Promise.all([near.end(), far.end()]));

      expect(sameBytes(far.received(), pattern(200_000, 9))).toBe(true);
      near.stream.destroy();
      far.stream.close();
      expect([near.closedCount, far.closedCount]).toEqual([1, 1]);
    }));

  test("a destroyed stream ends both sides once, and not inside the call", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      far.start();

      far.stream.destroy();
      far.stream.destroy();
      expect(far.closedCount).toBe(0);
      await settle(Promise.all([near.end(), far.end()]));

      expect([near.closedCount, far.closedCount]).toEqual([1, 1]);
    }));

  test("an end before the start is told after the start", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      near.stream.write(pattern(10, 10));
      near.stream.close();

      far.start();
      await settle(far.end());

      expect(far.receivedBytes).toBe(10);
      expect(far.closedCount).toBe(1);
    }));

  test("a write after the end is dropped without an exception", () =>
    withPair(factory, async ({ near, far, settle }) => {
      near.start();
      far.start();
      near.stream.destroy();
      await settle(Promise.all([near.end(), far.end()]));

      near.stream.write(pattern(10, 11));
      far.stream.write(pattern(10, 11));

      expect([near.receivedBytes, far.receivedBytes]).toEqual([0, 0]);
    }));
}

function describeListening(factory: FixtureFactory<TransportFixture>): void {
  test("an address has one listener at a time", () =>
    withListener(factory, async ({ server, settle }, listener) => {
      const second = server.listen(listener.address, () => {});

      await expect(settle(second)).rejects.toMatchObject({
        code: "ERR_HOLDFAST_ADDRESS_IN_USE",
        facts: { address: listener.address },
      });
    }));

  test("a closed listener is gone: dialling fails, and the address can be taken again", () =>
    withListener(factory, async ({ server, client, settle }, listener) => {
      await settle(listener.close());
      await expect(settle(client.dial(listener.address))).rejects.toMatchObject({
        code: "ERR_HOLDFAST_DIAL",
      });

      const again = await settle(server.listen(listener.address, () => {}));

      expect(again.address).toBe(listener.address);
      await settle(again.close());
    }));

  test("streams outlive the listener that accepted them", () =>
    withPair(factory, async ({ near, far, listener, settle }) => {
      near.start();
      far.start();

      await settle(listener.close());
      near.stream.write(pattern(100, 12));
      await settle(far.bytes(100));

      expect(far.receivedBytes).toBe(100);
    }));

  test("what is no address cannot be listened at", () =>
    withFixture(factory, async ({ server, malformedAddresses, settle }) => {
      for (const address of malformedAddresses) {
        await expect(settle(server.listen(address, () => {}))).rejects.toBeInstanceOf(TransportError);
      }
    }));
}

function describeDialling(factory: FixtureFactory<TransportFixture>): void {
  test("dialling where nobody listens fails as something to try again", () =>
    withFixture(factory, async ({ client, deadAddress, settle }) => {
      await expect(settle(client.dial(deadAddress))).rejects.toMatchObject({
        code: "ERR_HOLDFAST_DIAL",
        category: "retry",
        facts: { address: deadAddress },
      });
    }));

  test("what is no address cannot be dialled", () =>
    withFixture(factory, async ({ client, malformedAddresses, settle }) => {
      for (const address of malformedAddresses) {
        await expect(settle(client.dial(address))).rejects.toMatchObject({ code: "ERR_HOLDFAST_DIAL" });
      }
    }));

  test("a cancelled dial gives no stream", () =>
    withListener(factory, async ({ client, settle }, listener) => {
      const cancelled = { code: "ERR_HOLDFAST_CANCELLED" };
      const control = new AbortController();
      const late = client.dial(listener.address, control.signal);
      control.abort();

      await expect(settle(client.dial(listener.address, control.signal))).rejects.toMatchObject(cancelled);
      await expect(settle(late)).rejects.toMatchObject(cancelled);
    }));

  test("one listener accepts many", () =>
    withListener(factory, async ({ client, settle }, listener, accepted) => {
      const dialled = await settle(Promise.all([1, 2, 3].map(() => client.dial(listener.address))));
      dialled.forEach((stream, index) => new StreamCollector(stream).start().stream.write(pattern(4, index)));

      const ends = await settle(Promise.all([0, 1, 2].map((index) => accepted(index))));
      const collectors = ends.map((stream) => new StreamCollector(stream).start());
      await settle(Promise.all(collectors.map((end) => end.bytes(4))));

      const sums = collectors.map((end) => end.received().join()).sort();
      expect(sums).toEqual([0, 1, 2].map((index) => pattern(4, index).join()).sort());
      for (const stream of [...dialled, ...ends]) stream.destroy();
    }));
}

/** What a test of two connected ends works with. */
interface Pair extends TransportFixture {
  /** The end that dialled, not started. */
  readonly near: StreamCollector;
  /** The end that was accepted, not started. */
  readonly far: StreamCollector;
  readonly listener: Listener;
}

function withPair(
  factory: FixtureFactory<TransportFixture>,
  body: (pair: Pair) => Promise<void>,
): Promise<void> {
  return withListener(factory, async (fixture, listener, accepted) => {
    const stream = await fixture.settle(fixture.client.dial(listener.address));
    const near = new StreamCollector(stream);
    const far = new StreamCollector(await fixture.settle(accepted(0)));
    try {
      await body({ ...fixture, near, far, listener });
    } finally {
      near.stream.destroy();
      far.stream.destroy();
    }
  });
}

function withListener(
  factory: FixtureFactory<TransportFixture>,
  body: (
    fixture: TransportFixture,
    listener: Listener,
    accepted: (index: number) => Promise<ByteStream>,
  ) => Promise<void>,
): Promise<void> {
  return withFixture(factory, async (fixture) => {
    const arrivals = Array.from({ length: 4 }, () => deferred<ByteStream>());
    let count = 0;
    const listener = await fixture.settle(
      fixture.server.listen(fixture.listenAddress(), (stream) => {
        arrivals[count]?.resolve(stream);
        count += 1;
      }),
    );
    try {
      await body(
        fixture,
        listener,
        (index) => arrivals[index]?.promise ?? Promise.reject(new Error("too many")),
      );
    } finally {
      await fixture.settle(listener.close());
    }
  });
}

/** What the hundred writes of the first test come to. */
function joined(step: number, salt: number): Uint8Array {
  const parts = Array.from({ length: 100 }, (_, part) => pattern(1 + part * step, part + salt));
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
