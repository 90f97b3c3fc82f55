/*
 * A request that is given up by its signal, in each state it can be in.
 */
import { deferred } from "@holdfast/environment";
import { expect, test } from "vitest";
import { CALL_ABORTED, CALL_OVERLOADED, RequestError, WAITING_REQUESTS_MAX } from "../../src/index.ts";
import { type TestClient, World, bytesOf, text } from "./rig.ts";

/** Asks, and keeps how it ended. */
function ask(
  client: TestClient,
  body: string,
): { readonly outcome: Promise<string>; readonly abort: () => void } {
  const controller = new AbortController();
  const outcome = client.session.request(1, bytesOf(body), controller.signal).then(
    (answer) => text(answer),
    (error: unknown) =>
      error instanceof RequestError ? `error 0x${error.facts.error.toString(16)}` : codeOf(error),
  );
  return { outcome, abort: () => controller.abort() };
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

test("N9: a request whose signal has aborted already is not sent", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);

  const outcome = client.session.request(1, bytesOf("a"), AbortSignal.abort()).catch(codeOf);
  await world.clock.advance(20);

  expect(await outcome).toBe("ERR_HOLDFAST_CANCELLED");
  expect(server.asked).toEqual([]);
});

test("N9: a request given up before there is a server never reaches one", async () => {
  const world = new World();
  const client = world.client();
  const { outcome, abort } = ask(client, "a");

  abort();
  const server = await world.server(1n);
  await world.clock.advance(1000);

  expect(await outcome).toBe("ERR_HOLDFAST_CANCELLED");
  expect(server.asked).toEqual([]);
  expect(client.session.stats().pendingCount).toBe(0);
});

test("N9: a request given up while it waits for the introduction is not sent after it", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  const introduced = deferred<void>();
  client.introduce = () => introduced.promise;
  const { outcome, abort } = ask(client, "a");
  await world.clock.advance(20);

  abort();
  introduced.resolve();
  await world.clock.advance(20);

  expect(await outcome).toBe("ERR_HOLDFAST_CANCELLED");
  expect(server.asked).toEqual([]);
});

test("N9: a request given up in the turn it was made may be processed; its answer is ignored", async () => {
  const world = new World();
  await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);

  const { outcome, abort } = ask(client, "a");
  abort();
  await world.clock.advance(20);

  expect(await outcome).toBe("ERR_HOLDFAST_CANCELLED");
  expect(client.session.stats().pendingCount).toBe(0);
});

test("N9: a request given up after its answer arrived keeps the answer", async () => {
  const world = new World();
  await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  const { outcome, abort } = ask(client, "a");
  await world.clock.advance(20);

  abort();

  expect(await outcome).toBe("a");
});

test("N9: a request given up while the connection is broken is answered into the void, and the session goes on", async () => {
  const world = new World();
  const server = await world.server(1n);
  server.isEcho = false;
  const client = world.client();
  await world.clock.advance(20);
  const { outcome, abort } = ask(client, "a");
  await world.clock.advance(20);
  world.network.cut();
  await world.clock.advance(2);

  abort();
  server.owed[0]?.(0, bytesOf("late"));
  await world.clock.advance(200);
  server.isEcho = true;
  client.ask("b");
  await world.clock.advance(20);

  expect(await outcome).toBe("ERR_HOLDFAST_CANCELLED");
  expect(client.log).toEqual(["met 1", "disconnected", "b→b"]);
  expect(client.session.stats().pendingCount).toBe(0);
});

test("N9: a request given up after its server died is not sent to the next one", async () => {
  const world = new World();
  const old = await world.server(1n);
  old.isEcho = false;
  const client = world.client();
  await world.clock.advance(20);
  const { outcome, abort } = ask(client, "a");
  await world.clock.advance(20);

  await old.sessions.close();
  abort();
  const next = await world.server(2n);
  await world.clock.advance(500);

  expect(await outcome).toBe("ERR_HOLDFAST_CANCELLED");
  expect(next.asked).toEqual([]);
  expect(client.session.stats().pendingCount).toBe(0);
});

test("requests beyond the limit wait for their turn, in their order, and one of them may be given up", async () => {
  const world = new World();
  const server = await world.server(1n);
  server.isEcho = false;
  const client = world.client(5n, { requestsInFlightMax: 2 });
  await world.clock.advance(20);
  const asked = ["a", "b", "c", "d", "e"].map((body) => ask(client, body));
  await world.clock.advance(20);
  expect(server.asked).toEqual(["5/1 a", "5/1 b"]);
  expect(client.session.stats().waitingCount).toBe(3);

  asked[3]?.abort();
  while (server.owed.length > 0) {
    server.owed.shift()?.(0, bytesOf("done"));
    await world.clock.advance(20);
  }

  expect(await Promise.all(asked.map(({ outcome }) => outcome))).toEqual([
    "done",
    "done",
    "done",
    "ERR_HOLDFAST_CANCELLED",
    "done",
  ]);
  expect(server.asked).toEqual(["5/1 a", "5/1 b", "5/1 c", "5/1 e"]);
  expect(client.session.stats().waitingCount).toBe(0);
});

test("one waiting request too many is refused, and may be asked again", async () => {
  const world = new World();
  const client = world.client(5n, { requestsInFlightMax: 1 });
  const asked = Array.from({ length: 1 + WAITING_REQUESTS_MAX }, () =>
    client.session.request(1, bytesOf("")),
  );
  const refused = client.session.request(1, bytesOf("")).catch((error: unknown) => error);

  expect(await refused).toMatchObject({ category: "retry", facts: { error: CALL_OVERLOADED } });
  client.session.close();
  const outcomes = await Promise.allSettled(asked);
  expect(outcomes.every(({ status }) => status === "rejected")).toBe(true);
});

test("a request that comes while others wait does not overtake them, though it would fit", async () => {
  const world = new World();
  const server = await world.server(1n);
  server.isEcho = false;
  const client = world.client(5n, { requestBytesMax: 10 });
  await world.clock.advance(20);
  const asked = ["x".repeat(8), "y".repeat(8), "z"].map((body) => ask(client, body));
  await world.clock.advance(20);
  expect(server.asked).toHaveLength(1);

  server.owed[0]?.(0, bytesOf("done"));
  await world.clock.advance(20);

  expect(server.asked).toEqual(["5/1 xxxxxxxx", "5/1 yyyyyyyy", "5/1 z"]);
  for (const respond of server.owed.slice(1)) respond(0, bytesOf("done"));
  await world.clock.advance(20);
  expect(await Promise.all(asked.map(({ outcome }) => outcome))).toEqual(["done", "done", "done"]);
});

test("N26: closing ends requests that wait for their turn, too", async () => {
  const world = new World();
  const client = world.client(5n, { requestsInFlightMax: 1 });
  const asked = ["a", "b", "c"].map((body) => ask(client, body));

  client.session.close();

  const aborted = `error 0x${CALL_ABORTED.toString(16)}`;
  expect(await Promise.all(asked.map(({ outcome }) => outcome))).toEqual([aborted, aborted, aborted]);
  expect(client.session.stats()).toMatchObject({ pendingCount: 0, waitingCount: 0 });
});

test("a request that no frame can carry is refused at once, even while others wait", async () => {
  const world = new World();
  const client = world.client(5n, { requestsInFlightMax: 1 });
  const waiting = ["a", "b"].map((body) => ask(client, body));

  await expect(client.session.request(1, new Uint8Array(2 ** 20 + 1))).rejects.toThrow(RangeError);
  await expect(client.session.request(0xff04, bytesOf(""))).rejects.toThrow(/reserved/);

  client.session.close();
  await Promise.all(waiting.map(({ outcome }) => outcome));
});

test("F10: a farewell that nobody answers is bounded by its signal", async () => {
  const world = new World();
  const server = await world.server(1n);
  server.isEcho = false;
  const client = world.client();
  await world.clock.advance(20);
  const controller = new AbortController();

  const outcome = client.session.farewell(bytesOf(""), controller.signal).catch(codeOf);
  await world.clock.advance(1000);
  controller.abort();

  expect(await outcome).toBe("ERR_HOLDFAST_CANCELLED");
});

test("a server's request to a member is given up by its signal, or fails when there is no such member", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  const controller = new AbortController();

  const answered = server.sessions.request(5n, 8, bytesOf("to the member"));
  const nobody = server.sessions.request(6n, 8, bytesOf("")).catch((error: unknown) => error);
  await world.clock.advance(20);
  world.network.isSilent = true;
  const given = server.sessions.request(5n, 8, bytesOf(""), controller.signal).catch(codeOf);
  await world.clock.advance(20);
  controller.abort();

  expect(text(await answered)).toBe("to the member");
  expect(await nobody).toMatchObject({ code: "ERR_HOLDFAST_REQUEST", message: /CALL_NO_SESSION/ });
  expect(await given).toBe("ERR_HOLDFAST_CANCELLED");
  client.session.close();
});
