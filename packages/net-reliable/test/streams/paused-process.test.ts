import type { Cancel, Clock } from "@holdfast/environment";
import { MemorySessionPorts } from "@holdfast/memory-ports";
import { expect, test } from "vitest";
import { DEFAULT_SESSION_TIMING, startClientSession, startServerSessions } from "../../src/index.ts";
import { COMMAND, body, counting, identity } from "./stream-world.ts";

/** A clock of a process that may stand still while others go on: its timers come late then. */
class PausableClock implements Clock {
  readonly #clock: Clock;
  #pausedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now() + this.#pausedMs;
  }

  wallMs(): number {
    return this.now();
  }

  at(deadlineMs: number, action: () => void): Cancel {
    return this.#clock.at(deadlineMs - this.#pausedMs, action);
  }

  yield(): Promise<void> {
    return this.#clock.yield();
  }

  /** So much time has passed at once. */
  pause(ms: number): void {
    this.#pausedMs += ms;
  }
}

test("a process that stood still takes what came meanwhile for a sign of life before it cuts a stream", async () => {
  const ports = new MemorySessionPorts();
  const clock = new PausableClock(ports.clock);
  const streamLimits = { windowBytes: 4 };
  const server = await startServerSessions(
    {
      identity,
      listenAddress: "memory:server",
      streamLimits,
      handleStream: async () => ({ body, stream: counting(10) }),
    },
    ports,
  );
  const client = startClientSession(
    { identity, address: server.address, streamLimits },
    { transport: ports.transport, random: ports.random, cryptography: ports.cryptography, clock },
  );
  const asked = client.requestStream(COMMAND, body);
  await ports.clock.advance(5 * DEFAULT_SESSION_TIMING.heartbeatMs);

  clock.pause(DEFAULT_SESSION_TIMING.peerTimeoutMs);
  await ports.clock.advance(10 * DEFAULT_SESSION_TIMING.peerTimeoutMs);

  const read: number[] = [];
  const reading = asked.then(async ({ stream }) => {
    for await (const piece of stream) read.push(...piece);
  });
  await ports.clock.advance(1000);
  await reading;
  expect(read).toHaveLength(10);
  client.close();
  await server.close();
});
