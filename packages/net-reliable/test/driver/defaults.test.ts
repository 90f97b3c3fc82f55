/*
 * Two programs that share nothing but a key and an address.
 */
import type { Logger } from "@holdfast/environment";
import { expect, test } from "vitest";
import {
  CALL_UNKNOWN,
  DEFAULT_SESSION_TIMING,
  type RequestHandler,
  startClientSession,
  startServerSessions,
} from "../../src/index.ts";
import { World, bytesOf, text } from "./rig.ts";

const key = new Uint8Array(32).fill(3);

test("a key and an address are enough", async () => {
  const world = new World();
  const server = await startServerSessions(
    {
      identity: { key },
      listenAddress: "memory:1",
      handle: (_rid, _command, body, respond) => respond(0, body),
    },
    world.ports,
  );
  const session = startClientSession({ identity: { key }, address: server.address }, world.ports);

  const answer = session.request(1, bytesOf("hello"));
  await world.clock.advance(50);

  expect(text(await answer)).toBe("hello");
  expect(session.rid).not.toBe(0n);
  expect(session.term).toBe(server.term);
});

test("a server started again has a later term, so its members go on with it", async () => {
  const world = new World();
  const options = {
    identity: { key },
    listenAddress: "memory:1",
    handle: (
      _rid: bigint,
      _command: number,
      body: Uint8Array,
      respond: (error: number, body: Uint8Array) => void,
    ) => respond(0, body),
  };
  await world.clock.advance(5);
  const first = await startServerSessions(options, world.ports);
  const session = startClientSession({ identity: { key }, address: first.address }, world.ports);
  await world.clock.advance(50);
  await first.close();
  const answer = session.request(1, bytesOf("hello"));
  await world.clock.advance(100);
  const second = await startServerSessions(options, world.ports);
  await world.clock.advance(1000);

  expect(text(await answer)).toBe("hello");
  expect([first.term, second.term]).toEqual([5n, 155n]);
  expect(session.term).toBe(second.term);
});

test("a side that takes no requests says so", async () => {
  const world = new World();
  await world.clock.advance(1);
  const server = await startServerSessions({ identity: { key }, listenAddress: "memory:1" }, world.ports);
  const session = startClientSession({ identity: { key }, address: server.address }, world.ports);
  await world.clock.advance(20);
  const toServer = session.request(1, bytesOf("")).catch((error: unknown) => error);
  const toMember = server.request(session.rid, 1, bytesOf("")).catch((error: unknown) => error);
  await world.clock.advance(20);

  expect(await toServer).toMatchObject({ facts: { error: CALL_UNKNOWN } });
  expect(await toMember).toMatchObject({ facts: { error: CALL_UNKNOWN }, message: /CALL_UNKNOWN/ });
});

test("what cannot work is refused when it is started", async () => {
  const { ports } = new World();
  const identity = { key };
  const wrongTiming = { ...DEFAULT_SESSION_TIMING, heartbeatMs: 400 };
  const listen = (options: object): Promise<unknown> =>
    startServerSessions({ identity, listenAddress: "memory:1", term: 1n, ...options }, ports);

  expect(() => startClientSession({ identity }, ports)).toThrow(/either the server's address or findServer/);
  expect(() => startClientSession({ identity, address: "a", rid: 0n }, ports)).toThrow(/rid is not 0/);
  expect(() => startClientSession({ identity, address: "a", timing: wrongTiming }, ports)).toThrow(
    /two heartbeats/,
  );
  expect(() => startClientSession({ identity: { key: new Uint8Array(15) }, address: "a" }, ports)).toThrow(
    /at least 16 bytes/,
  );
  await expect(listen({ identity: { key: new Uint8Array(0) } })).rejects.toThrow(/at least 16 bytes/);
  await expect(listen({ timing: wrongTiming })).rejects.toThrow(/two heartbeats/);
  await expect(listen({ term: 0n })).rejects.toThrow(/at least 1/);
});

test("a server that stays out of reach is warned of once, with the reason, until one was reached", async () => {
  const world = new World();
  const lines: object[] = [];
  const log: Logger = { debug() {}, info() {}, warn: (facts) => lines.push(facts), error() {} };
  const address = "memory:1";
  const session = startClientSession({ identity: { key }, address }, world.portsWith({ log }));

  await world.clock.advance(DEFAULT_SESSION_TIMING.greetingTimeoutMs);
  expect(lines).toEqual([]);
  await world.clock.advance(60_000);
  expect(lines).toEqual([{ event: "session.dial-failed", address, err: expect.any(Error) }]);

  const server = await startServerSessions({ identity: { key }, listenAddress: address }, world.ports);
  await world.clock.advance(2000);
  await server.close();
  await world.clock.advance(60_000);
  expect(lines).toHaveLength(2);
  session.close();
});

test("a request that waits for room says what its body held when it was made, whatever becomes of that memory", async () => {
  const world = new World();
  const handle: RequestHandler = (_rid, _command, body, respond) => respond(0, body);
  const server = await startServerSessions(
    { identity: { key }, listenAddress: "memory:1", handle },
    world.ports,
  );
  const limits = { requestsInFlightMax: 1 };
  const session = startClientSession({ identity: { key }, address: server.address, limits }, world.ports);
  const memory = new Uint8Array(1);

  const answers = [1, 2, 3].map((number) => {
    memory[0] = number;
    return session.request(1, memory);
  });
  await world.clock.advance(100);

  expect(await Promise.all(answers)).toEqual([1, 2, 3].map((number) => Uint8Array.of(number)));
  session.close();
  await server.close();
});
