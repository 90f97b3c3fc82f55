import { deferred } from "@holdfast/environment";
import { expect, test } from "vitest";
import { CALL_ABORTED, REFUSAL } from "../../src/index.ts";
import { World, bytesOf, identity, text, timing } from "./rig.ts";

test("a member finds the server, meets it, and its calls are answered", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();

  client.ask("early");
  await world.clock.advance(20);
  client.ask("late");
  await world.clock.advance(20);

  expect(client.log).toEqual(["met 1", "early→early", "late→late"]);
  expect(server.log).toEqual(["up 5"]);
  expect([client.session.term, client.session.isConnected]).toEqual([1n, true]);
});

test("calls wait until a new server has been introduced to the member; the introduction's own calls go ahead", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  const introduced = deferred<void>();
  client.introduce = ({ call }) => {
    call(3, bytesOf("join"), () => {});
    return introduced.promise;
  };
  client.ask("ordinary");
  await world.clock.advance(20);
  expect(server.asked).toEqual(["5/3 join"]);

  introduced.resolve();
  await world.clock.advance(20);

  expect(server.asked).toEqual(["5/3 join", "5/1 ordinary"]);
});

test("an introduction that fails is repeated over a new connection", async () => {
  const world = new World();
  await world.server(1n);
  const client = world.client();
  const met: boolean[] = [];
  client.introduce = ({ isNew }) => {
    met.push(isNew);
    return met.length === 1 ? Promise.reject(new Error("no answer")) : Promise.resolve();
  };

  client.ask("ordinary");
  await world.clock.advance(100);

  expect(met).toEqual([true, false]);
  expect(client.log).toEqual(["disconnected", "ordinary→ordinary"]);
});

test("a call survives a broken connection and is processed once", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  server.isEcho = false;
  client.ask("slow");
  await world.clock.advance(20);

  world.network.cut();
  await world.clock.advance(5);
  server.owed[0]?.(0, bytesOf("done"));
  await world.clock.advance(100);

  expect(client.log).toEqual(["met 1", "disconnected", "slow→done"]);
  expect(server.asked).toEqual(["5/1 slow"]);
  expect(server.log).toEqual(["up 5", "down 5", "up 5"]);
});

test("a call survives its server: the next one gets it again", async () => {
  const world = new World();
  const old = await world.server(1n);
  old.isEcho = false;
  const client = world.client();
  client.ask("a");
  await world.clock.advance(20);

  await old.sessions.close();
  const next = await world.server(2n);
  await world.clock.advance(200);

  expect(old.asked).toEqual(["5/1 a"]);
  expect(next.asked).toEqual(["5/1 a"]);
  expect(client.log).toEqual(["met 1", "disconnected", "met 2", "a→a"]);
});

test("an idle session lives on heartbeats", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();

  await world.clock.advance(10_000);

  expect(client.log).toEqual(["met 1"]);
  expect(server.log).toEqual(["up 5"]);
  expect(world.clock.now() - client.heardAt).toBeLessThan(200);
});

test("N17: both sides notice a network that went silent, and come back when it speaks again", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);

  world.network.isSilent = true;
  await world.clock.advance(800);
  expect(client.session.isConnected).toBe(false);
  expect(server.sessions.isConnected(5n)).toBe(false);
  world.network.isSilent = false;
  client.ask("a");
  await world.clock.advance(2000);

  expect(client.log).toEqual(["met 1", "disconnected", "a→a"]);
  expect(server.log).toEqual(["up 5", "down 5", "up 5"]);
  expect(client.session.stats().cutSilentCount).toBe(1);
});

test("N19: a member that nobody answers does not dial in a loop", async () => {
  const world = new World();
  world.serverAddress = "memory:nobody";
  world.client();

  await world.clock.advance(10_000);

  expect(world.network.dialsCount).toBeLessThan(45);
  expect(world.network.dialsCount).toBeGreaterThan(15);
});

test("N19: after a long search an accepted greeting makes the next reconnect quick again", async () => {
  const world = new World();
  world.serverAddress = "memory:nobody";
  const client = world.client();
  await world.clock.advance(10_000);
  await world.server(1n);
  await world.clock.advance(1000);

  world.network.cut();
  await world.clock.advance(50);

  expect(client.session.isConnected).toBe(true);
  expect(client.log).toEqual(["met 1", "disconnected"]);
});

test("a server that accepts and never greets is left", async () => {
  const world = new World();
  await world.network.listen("memory:mute", (stream) =>
    stream.start({ data: () => {}, closed: () => {}, drained: () => {} }),
  );
  world.serverAddress = "memory:mute";
  const client = world.client();
  await world.clock.advance(900);

  await world.server(1n);
  await world.clock.advance(500);

  expect(client.log).toEqual(["met 1"]);
  expect(client.session.stats().greetingTimedOutCount).toBe(1);
});

test("a member that dials a server that stands still turns to the next one as soon as there is one", async () => {
  const world = new World();
  const listener = await world.network.listen("memory:stopped", () => {});
  world.serverAddress = listener.address;
  const client = world.client();
  await world.clock.advance(10);
  const server = await world.server(2n);

  await world.clock.advance(timing.heartbeatMs / 2);

  expect(client.log).toEqual(["met 2"]);
  client.session.close();
  await server.sessions.close();
  await world.clock.advance(10);
  expect(world.clock.timersCount).toBe(0);
});

test("garbage from a server cuts it off and is counted", async () => {
  const world = new World();
  await world.network.listen("memory:garbage", (stream) => {
    stream.start({ data: () => {}, closed: () => {}, drained: () => {} });
    stream.write(new Uint8Array(100).fill(88));
  });
  world.serverAddress = "memory:garbage";
  const client = world.client();
  await world.clock.advance(100);

  await world.server(1n);
  await world.clock.advance(1000);

  expect(client.log).toEqual(["met 1"]);
  expect(client.session.stats().cutMalformedCount).toBeGreaterThan(0);
});

test("a final refusal ends the session: the owner is told once, calls are aborted, nobody dials again", async () => {
  const world = new World();
  const server = await world.server(1n);
  server.admission = REFUSAL.EVICTED;
  const client = world.client();
  client.ask("a");
  await world.clock.advance(100);
  const dials = world.network.dialsCount;

  client.ask("b");
  await world.clock.advance(5000);

  expect(client.log).toEqual(["refused 0xff11", "a→0xff01", "b→0xff01"]);
  expect(world.network.dialsCount).toBe(dials);
});

test("a stranger at the server's old address refuses nobody for good", async () => {
  const world = new World();
  await world.server(9n, { ...identity, fsid: 8n, key: new Uint8Array(32).fill(2) });
  const client = world.client();
  await world.clock.advance(1000);
  expect(client.session.stats().refusedCount).toBeGreaterThan(0);

  await world.server(1n);
  await world.clock.advance(1000);

  expect(client.log).toEqual(["met 1"]);
});

test("a member leaves a server of an earlier term and finds the later one", async () => {
  const world = new World();
  const later = await world.server(3n);
  const client = world.client();
  await world.clock.advance(20);
  await later.sessions.close();
  const earlier = await world.server(2n);
  await world.clock.advance(500);
  expect(client.session.isConnected).toBe(false);

  await world.server(4n);
  await world.clock.advance(1000);

  expect(client.log).toEqual(["met 3", "disconnected", "met 4"]);
  expect(earlier.sessions.stats().refusedCount).toBeGreaterThan(0);
  expect(earlier.sessions.stats().sessionsCount).toBe(0);
});

test("a farewell is answered; its answer lost, it is asked for again", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  server.isEcho = false;

  const farewell = client.session.farewell(bytesOf("bye"));
  await world.clock.advance(20);
  world.network.cut();
  server.sessions.forget(5n);
  server.isEcho = true;
  await world.clock.advance(200);
  await farewell;

  expect(server.asked).toEqual(["5/65296 bye", "5/65296 bye"]);
});

test("a farewell to nobody is over at once", async () => {
  const world = new World();
  const client = world.client();

  await expect(client.session.farewell(bytesOf(""))).resolves.toBeUndefined();
});

test("a request resolves with a copy of the answer", async () => {
  const world = new World();
  await world.server(1n);
  const client = world.client();

  const answer = client.session.request(1, bytesOf("a"));
  await world.clock.advance(20);

  expect(text(await answer)).toBe("a");
});

test("a request rejects with the answer's error and body", async () => {
  const world = new World();
  const server = await world.server(1n);
  server.isEcho = false;
  const client = world.client();

  const outcome = client.session.request(2, bytesOf("b")).catch((error: unknown) => error);
  await world.clock.advance(20);
  server.owed[0]?.(17, bytesOf("why"));
  await world.clock.advance(20);

  expect(await outcome).toMatchObject({
    code: "ERR_HOLDFAST_REQUEST",
    facts: { command: 2, error: 17 },
    body: bytesOf("why"),
  });
});

test("N9: a request that was given up ignores its late answer", async () => {
  const world = new World();
  const server = await world.server(1n);
  server.isEcho = false;
  const client = world.client();
  const abort = new AbortController();

  const outcome = client.session.request(2, bytesOf("c"), abort.signal).catch((error: unknown) => error);
  await world.clock.advance(20);
  abort.abort();
  server.owed[0]?.(0, bytesOf("too late"));
  await world.clock.advance(20);

  expect(await outcome).toMatchObject({ code: "ERR_HOLDFAST_CANCELLED" });
  expect(client.session.stats().pendingCount).toBe(0);
});

test("N26: closing aborts every call and leaves no timer behind", async () => {
  const world = new World();
  const server = await world.server(1n);
  server.isEcho = false;
  const client = world.client();
  client.ask("a");
  await world.clock.advance(20);

  client.session.close();
  client.ask("b");
  expect(client.log).toEqual(["met 1", `a→0x${CALL_ABORTED.toString(16)}`]);
  await world.clock.advance(1000);
  await server.sessions.close();
  await world.clock.advance(1000);

  expect(client.log).toEqual(["met 1", "a→0xff01", "b→0xff01"]);
  expect(server.log).toEqual(["up 5", "down 5"]);
  expect(world.clock.timersCount).toBe(0);
});

test("a clogged stream is not written to until it drains, and nothing is lost", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);

  world.network.isClogged = true;
  client.ask("first");
  await world.clock.advance(10);
  client.ask("second");
  await world.clock.advance(10);
  expect(server.asked).toEqual(["5/1 first"]);
  world.network.unclog();
  await world.clock.advance(20);

  expect(server.asked).toEqual(["5/1 first", "5/1 second"]);
  expect(client.log).toEqual(["met 1", "first→first", "second→second"]);
});
