/*
 * Ends: nothing that waits is left waiting, on either side, and no timer or map entry stays behind.
 */
import { type Logger, deferred } from "@holdfast/environment";
import { expect, test } from "vitest";
import { CALL_ABORTED, DEFAULT_SESSION_TIMING, startClientSession } from "../../src/index.ts";
import { World, bytesOf, identity, text, timing } from "./rig.ts";

test("N24: a server that stops ends every wait for its members, connected, away or silent", async () => {
  const world = new World();
  const server = await world.server(1n);
  const [near, away] = [world.client(5n), world.client(6n)];
  await world.clock.advance(20);
  away.session.close();
  await world.clock.advance(20);
  world.network.isSilent = true;
  const outcomes = [5n, 6n].map((rid) =>
    server.sessions.request(rid, 8, bytesOf("")).catch((error: unknown) => error),
  );

  await server.sessions.close();

  for (const outcome of outcomes) expect(await outcome).toMatchObject({ facts: { error: CALL_ABORTED } });
  expect(server.sessions.stats()).toMatchObject({ sessionsCount: 0, greetingCount: 0 });
  near.session.close();
});

test("N24: handlers that answer after their server stopped do no harm, and those requests go to the next server", async () => {
  const world = new World();
  const old = await world.server(1n);
  old.isEcho = false;
  const client = world.client();
  const outcome = client.session.request(1, bytesOf("a"));
  await world.clock.advance(20);

  await old.sessions.close();
  old.owed[0]?.(0, bytesOf("too late"));
  await world.server(2n);
  await world.clock.advance(500);

  expect(text(await outcome)).toBe("a");
});

test("N26: a session closed while it looks for the server, dials, greets or introduces itself is closed", async () => {
  for (const closeAt of ["find", "dial", "greet", "introduce"] as const) {
    const world = new World();
    const server = await world.server(1n);
    const [found, introduced] = [deferred<string>(), deferred<void>()];
    const session = startClientSession(
      { identity, findServer: () => found.promise, onServer: () => introduced.promise },
      world.ports,
    );
    const outcome = session.request(1, bytesOf("a")).catch((error: unknown) => error);
    if (closeAt !== "find") found.resolve(server.sessions.address);
    if (closeAt === "greet") await world.clock.advance(1);
    if (closeAt === "introduce") await world.clock.advance(20);

    session.close();
    found.resolve(server.sessions.address);
    introduced.resolve();
    await world.clock.advance(1000);
    await server.sessions.close();
    await world.clock.advance(1000);

    expect(await outcome).toMatchObject({ facts: { error: CALL_ABORTED } });
    expect(server.asked).toEqual([]);
    expect([closeAt, world.clock.timersCount, world.network.streams.size]).toEqual([closeAt, 0, 0]);
  }
});

test("N26: a dial that takes too long, or that nobody waits for any more, is given up", async () => {
  const world = new World();
  const signals: (AbortSignal | undefined)[] = [];
  const transport = {
    listen: world.ports.transport.listen.bind(world.ports.transport),
    dial: (_: string, signal?: AbortSignal) => {
      signals.push(signal);
      return new Promise<never>(() => {});
    },
  };
  const session = startClientSession({ identity, address: "memory:1" }, world.portsWith({ transport }));

  await world.clock.advance(timing.greetingTimeoutMs + timing.reconnectMinMs);
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, false]);
  session.close();

  expect(signals.map((signal) => signal?.aborted)).toEqual([true, true]);
});

test("N28: while a stream takes nothing, requests are still handled, and answers wait for it", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  world.network.isClogged = true;
  client.ask("first");
  await world.clock.advance(10);
  world.network.unclog();
  world.network.isClogged = true;
  client.ask("second");
  await world.clock.advance(20);

  expect(server.asked).toEqual(["5/1 first", "5/1 second"]);
  world.network.unclog();
  await world.clock.advance(20);
  expect(client.log).toEqual(["met 1", "first→first", "second→second"]);
});

test("a member that stays away is forgotten after forgetMs, and must come back as another one", async () => {
  const world = new World();
  const server = await world.server(1n, identity, false);
  const client = world.client(5n);
  await world.clock.advance(20);
  const call = server.sessions.request(5n, 8, bytesOf("")).catch((error: unknown) => error);
  world.serverAddress = undefined;
  world.network.cut();
  await world.clock.advance(timing.forgetMs + 1000);
  expect(server.sessions.stats().sessionsCount).toBe(0);
  expect(await call).toMatchObject({ facts: { error: CALL_ABORTED } });

  world.serverAddress = server.sessions.address;
  client.ask("a");
  await world.clock.advance(1000);
  const other = world.client(6n);
  other.ask("b");
  await world.clock.advance(100);

  expect(client.log).toEqual(["met 1", "disconnected", "refused 0xff16", "a→0xff01"]);
  expect(other.log).toEqual(["met 1", "b→b"]);
});

test("an error of a handler that says nothing about the peer is not swallowed: the connection goes, the error passes", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  const bug = new TypeError("a bug");
  server.asked.push = () => {
    throw bug;
  };
  client.ask("a");

  await expect(world.clock.advance(20)).rejects.toBe(bug);

  expect(server.sessions.isConnected(5n)).toBe(false);
  client.session.close();
});

test("looking for the server may fail; that is logged and tried again", async () => {
  const world = new World();
  const server = await world.server(1n);
  const lines: object[] = [];
  const log: Logger = {
    debug: () => {},
    info: () => {},
    warn: (facts) => lines.push(facts),
    error: () => {},
  };
  let attempts = 0;
  const session = startClientSession(
    {
      identity,
      findServer: () => {
        attempts += 1;
        return attempts < 3
          ? Promise.reject(new Error("cannot read"))
          : Promise.resolve(server.sessions.address);
      },
    },
    world.portsWith({ log }),
  );

  await world.clock.advance(DEFAULT_SESSION_TIMING.reconnectMaxMs);

  expect(session.isConnected).toBe(true);
  expect(lines).toMatchObject([{ event: "session.find-failed" }, { event: "session.find-failed" }]);
  session.close();
});
