import type { ByteStream } from "@holdfast/environment";
import { expect, test } from "vitest";
import { simulate, type Simulated } from "./simulated.ts";

interface Collected {
  readonly bytes: number[];
  /** How it ended: undefined while it has not. */
  end: "closed" | "failed" | undefined;
}

function collect(stream: ByteStream): Collected {
  const collected: Collected = { bytes: [], end: undefined };
  stream.start({
    data: (bytes) => collected.bytes.push(...bytes),
    closed: (error) => {
      collected.end = error === undefined ? "closed" : "failed";
    },
    drained: () => {},
  });
  return collected;
}

/** Two hosts with one stream between them. */
async function connected(simulated: Simulated = simulate()) {
  const { start, settle } = simulated;
  const alpha = start("alpha");
  const beta = start("beta");
  const accepted: ByteStream[] = [];
  const listener = await settle(
    beta.ports.transport.listen("sim://beta:0", (stream) => accepted.push(stream)),
  );
  const near = await settle(alpha.ports.transport.dial(listener.address));
  await simulated.advance(50);
  const [far] = accepted;
  if (far === undefined) throw new Error("the stream was not accepted");
  return { ...simulated, alpha, beta, listener, near, far };
}

test("many small writes arrive whole and in order, however they are cut and joined", async () => {
  const { near, far, advance } = await connected();
  const received = collect(far);
  const sent = Array.from({ length: 500 }, (_, index) => index % 251);

  for (let at = 0; at < sent.length; at += 5) near.write(new Uint8Array(sent.slice(at, at + 5)));
  await advance(1000);

  expect(received.bytes).toEqual(sent);
});

test("a blocked link holds everything back and loses nothing", async () => {
  const { near, far, network, advance } = await connected();
  const received = collect(far);
  network.block("alpha", "beta");
  for (let byte = 0; byte < 50; byte++) near.write(new Uint8Array([byte]));
  near.close();

  await advance(60_000);
  expect(received).toEqual({ bytes: [], end: undefined });
  network.heal();
  await advance(1000);

  expect(received).toEqual({ bytes: Array.from({ length: 50 }, (_, byte) => byte), end: "closed" });
});

test("a link blocked one way still carries the other way", async () => {
  const { near, far, network, advance } = await connected();
  const [atNear, atFar] = [collect(near), collect(far)];
  network.block("alpha", "beta");

  near.write(new Uint8Array([1]));
  far.write(new Uint8Array([2]));
  await advance(1000);

  expect(atNear.bytes).toEqual([2]);
  expect(atFar.bytes).toEqual([]);
});

test("a partition separates the sides and leaves each side connected", () => {
  const { network } = simulate();

  network.partition([["a", "b"], ["c"]]);

  expect(network.isOpen("a", "b")).toBe(true);
  expect(network.isOpen("a", "c")).toBe(false);
  expect(network.isOpen("c", "b")).toBe(false);
  network.unblock("a", "c");
  expect(network.isOpen("a", "c")).toBe(true);
});

test("a reset ends both ends with an error; a prefix of what was sent may arrive", async () => {
  const { near, far, network, advance } = await connected();
  const [atNear, atFar] = [collect(near), collect(far)];
  await advance(10);
  const sent = Array.from({ length: 100 }, (_, byte) => byte);
  for (const byte of sent) near.write(new Uint8Array([byte]));

  expect(network.cut("alpha", "beta")).toBe(1);
  await advance(1000);

  expect([atNear.end, atFar.end]).toEqual(["failed", "failed"]);
  expect(atFar.bytes).toEqual(sent.slice(0, atFar.bytes.length));
  expect(network.streamCount).toBe(0);
});

test("a killed process resets its streams, and dialling it is refused", async () => {
  const { near, beta, alpha, listener, settle, advance } = await connected();
  const atNear = collect(near);

  beta.process.kill();
  await advance(100);

  expect(atNear.end).toBe("failed");
  await expect(settle(alpha.ports.transport.dial(listener.address))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DIAL",
  });
});

test("a process that vanished with its host leaves its peers waiting for seconds", async () => {
  const { near, beta, advance } = await connected();
  const atNear = collect(near);

  beta.process.kill({ isSilent: true });
  await advance(5000);
  expect(atNear.end).toBeUndefined();
  await advance(6000);

  expect(atNear.end).toBe("failed");
});

test("dialling over a blocked link is given up after the dial time-out", async () => {
  const { network, alpha, listener, settle, world } = await connected();
  network.block("alpha", "beta");
  const before = world.nowMs;

  await expect(settle(alpha.ports.transport.dial(listener.address))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DIAL",
  });

  expect(world.nowMs - before).toBeGreaterThanOrEqual(5000);
});

test("bytes sent to a paused process wait for it, in order", async () => {
  const { near, far, beta, advance } = await connected();
  const received = collect(far);
  await advance(10);
  beta.process.pause();
  for (let byte = 0; byte < 20; byte++) near.write(new Uint8Array([byte]));

  await advance(5000);
  expect(received.bytes).toEqual([]);
  beta.process.resume();
  await advance(10);

  expect(received.bytes).toEqual(Array.from({ length: 20 }, (_, byte) => byte));
});

test("a half-open stream loses what is sent, and both ends believe in it for ten seconds", async () => {
  const { near, far, network, advance } = await connected();
  const [there, back] = [collect(far), collect(near)];

  expect(network.forsake("beta", "alpha")).toBe(2);
  near.write(new Uint8Array([1]));
  far.write(new Uint8Array([2]));
  await advance(9000);

  expect([there, back]).toEqual([
    { bytes: [], end: undefined },
    { bytes: [], end: undefined },
  ]);
  await advance(2000);
  expect([there.end, back.end]).toEqual(["failed", "failed"]);
});

test("an end of a half-open stream that is cut tells nobody else", async () => {
  const { near, far, network, advance } = await connected();
  const [there, back] = [collect(far), collect(near)];
  network.forsake("alpha", "beta");

  near.destroy();
  await advance(5000);

  expect([there.end, back.end]).toEqual([undefined, "closed"]);
});
