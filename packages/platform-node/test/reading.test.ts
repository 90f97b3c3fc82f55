import { Socket } from "node:net";
import { deferred } from "@holdfast/environment";
import { expect, test } from "vitest";
import { nodeTransport } from "../src/index.ts";
import { readTarget, takeOver } from "../src/reading.ts";

test("a stream that was accepted reads into the memory of those that dial, not into new memory each time", async () => {
  const memories = new Set<ArrayBufferLike>();
  const listener = await nodeTransport.listen("tcp://127.0.0.1:0", (stream) => {
    stream.start({
      data: (bytes) => {
        memories.add(bytes.buffer);
        stream.write(bytes);
      },
      closed() {},
      drained() {},
    });
  });
  const near = await nodeTransport.dial(listener.address);
  let answersCount = 0;

  await new Promise<void>((resolve) => {
    near.start({
      data: (bytes) => {
        memories.add(bytes.buffer);
        answersCount += 1;
        if (answersCount === 3) resolve();
        else near.write(Uint8Array.of(answersCount));
      },
      closed() {},
      drained() {},
    });
    near.write(Uint8Array.of(0));
  });

  expect(memories.size).toBe(1);
  near.destroy();
  await listener.close();
});

test("a stream that was accepted reads to the place its user wants", async () => {
  const place = new Uint8Array(8);
  const placed = deferred<boolean>();
  const listener = await nodeTransport.listen("tcp://127.0.0.1:0", (stream) => {
    let readsCount = 0;
    stream.start({
      data: (bytes) => {
        readsCount += 1;
        // The first read may go where the accepting left it.
        if (readsCount === 1) stream.write(bytes);
        else placed.resolve(bytes.buffer === place.buffer);
      },
      place: () => place,
      closed() {},
      drained() {},
    });
  });
  const near = await nodeTransport.dial(listener.address);

  near.start({ data: (bytes) => void near.write(bytes), closed() {}, drained() {} });
  near.write(Uint8Array.of(1));

  expect(await placed.promise).toBe(true);
  near.destroy();
  await listener.close();
});

test("a socket whose connection is gone keeps what is left of it", () => {
  const socket = new Socket();

  expect(takeOver(socket, readTarget())).toBeUndefined();
  expect(socket.destroyed).toBe(false);
});

test("a dialled stream reads to the place its user wants, and elsewhere when there is none", async () => {
  const place = new Uint8Array(3);
  const listener = await nodeTransport.listen("tcp://127.0.0.1:0", (stream) => {
    const send = (): boolean => stream.write(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    stream.start({ data: send, closed() {}, drained() {} });
    send();
  });
  const near = await nodeTransport.dial(listener.address);
  const got: number[] = [];
  let placedBytes = 0;

  await new Promise<void>((resolve) => {
    near.start({
      data: (bytes) => {
        if (bytes.buffer === place.buffer) placedBytes += bytes.length;
        got.push(...bytes);
        // The first read goes where the dialling left it.
        if (got.length === 8) near.write(Uint8Array.of(0));
        if (got.length === 16) resolve();
      },
      place: () => (got.length < 11 ? place : undefined),
      closed() {},
      drained() {},
    });
  });

  expect(got).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(placedBytes).toBeGreaterThanOrEqual(3);
  expect(near.isAuthenticated).toBe(false);
  near.destroy();
  await listener.close();
});
