import { expect, test } from "vitest";
import {
  CALL_ANSWER_DROPPED,
  DEFAULT_SESSION_LIMITS,
  SMALL_ANSWER_BYTES,
  WAITING_FRAME_BYTES,
} from "../src/index.ts";
import { Client, Link, Server, bytesOf } from "./rig.ts";

const MIB = 2 ** 20;

test("N7: a call beyond the greatest number of unanswered requests is refused at once and leaves nothing to wait for", () => {
  const client = new Client(5n, { limits: { requestsInFlightMax: 2 } });

  const cancels = [client.ask("a"), client.ask("b"), client.ask("c")];

  expect(cancels.map((cancel) => typeof cancel)).toEqual(["function", "function", "undefined"]);
  expect(client.machine.session.pendingCount).toBe(2);
});

test("N7: a call beyond the greatest sum of unanswered bytes is refused, sent or not, until an answer comes", () => {
  const [client, server] = [new Client(5n, { limits: { requestBytesMax: 1000 } }), new Server(1n)];
  server.isEcho = false;
  expect(client.ask("x".repeat(900))).toBeDefined();
  expect(client.ask("y".repeat(200))).toBeUndefined();
  const link = new Link(client, server).pump();
  expect(client.ask("y".repeat(200))).toBeUndefined();

  server.asked[0]?.respond(0, bytesOf("done"));
  link.pump();

  expect(client.ask("y".repeat(200))).toBeDefined();
});

test("a server that never answers costs a member no more than the limit, and the session lives", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  const body = "x".repeat(MIB);
  let callsCount = 0;
  while (client.ask(body) !== undefined) {
    callsCount += 1;
    link.pump();
  }

  expect(callsCount).toBe(DEFAULT_SESSION_LIMITS.requestBytesMax / MIB);
  while (server.asked.length > 0) server.asked.shift()?.respond(0, bytesOf("at last"));
  link.pump();
  expect(client.answers).toHaveLength(callsCount);
});

test("a peer with more unanswered requests than allowed is cut off", () => {
  const client = new Client(5n);
  const server = new Server(1n, { limits: { requestsInFlightMax: 2 } });
  const link = new Link(client, server).pump();
  server.isEcho = false;
  for (const body of ["a", "b", "c"]) client.ask(body);
  link.collect();

  expect(() => link.feedServer()).toThrow(/more than 2 unanswered/);
  expect(server.bodies).toEqual(["a", "b"]);
});

test("a member whose window is full when its server dies is introduced to the next one all the same", () => {
  const client = new Client(5n, { limits: { requestsInFlightMax: 2, requestBytesMax: 10 } });
  const [old, next] = [new Server(1n), new Server(2n)];
  old.isEcho = false;
  const link = new Link(client, old).pump();
  for (const body of ["first", "other"]) client.ask(body);
  link.pump();
  link.cut();
  client.isIntroducing = false;
  const second = new Link(client, next).pump();

  const introduction = client.machine.call(
    3,
    bytesOf("this is me"),
    () => client.machine.introduced(2n),
    true,
  );

  expect(introduction).toBeDefined();
  expect(client.ask("third")).toBeUndefined();
  second.pump();
  expect(next.bodies).toEqual(["this is me", "first", "other"]);
});

/** Large enough for a chunk of its own, so that it is let go as soon as it is acknowledged. */
const LARGE_BYTES = 100_000;

test("H46: of a peer that asks and takes no answers further requests wait, and go on in their order", () => {
  const client = new Client(5n);
  const server = new Server(1n, { limits: { outboxBusyBytes: 1.5 * LARGE_BYTES } });
  const link = new Link(client, server).pump();
  const asked = ["a", "b", "c", "d", "e"].map((letter) => letter.repeat(LARGE_BYTES));
  for (const body of asked) client.ask(body);
  link.collect();

  link.feedServer();
  expect(server.bodies).toEqual(asked.slice(0, 2));
  expect(server.machine.counts().waitingBytes).toBe(3 * (LARGE_BYTES + WAITING_FRAME_BYTES));
  for (let beat = 0; beat < 3; beat += 1) {
    link.pump();
    beatOfClient(link);
  }

  expect(server.bodies).toEqual(asked);
  expect(client.answers.map((answer) => answer[0])).toEqual(["a", "b", "c", "d", "e"]);
  expect(server.machine.counts().waitingBytes).toBe(0);
});

test("when a request that waited ends the session, nothing that came after it is handled", () => {
  const client = new Client(5n);
  const server = new Server(1n, { limits: { outboxBusyBytes: 1.5 * LARGE_BYTES } });
  server.answer = (_, body) => {
    if (body === "bye") server.machine.forget(5n);
    return undefined;
  };
  const link = new Link(client, server).pump();
  const asked = ["a", "b"].map((letter) => letter.repeat(LARGE_BYTES));
  for (const body of [...asked, "bye"]) client.ask(body);
  link.collect();
  link.feedServer();
  expect(server.bodies).toEqual(asked);

  // It leaves with the acknowledgement that lets the farewell go on.
  client.ask("after");
  link.feedClient();
  link.feedServer();

  expect(server.bodies).toEqual([...asked, "bye"]);
});

test("N21: an answer does not overtake a request that waits", () => {
  const client = new Client(5n, { limits: { outboxBusyBytes: 1.5 * LARGE_BYTES } });
  const server = new Server(1n);
  const link = new Link(client, server).pump();
  const seen: string[] = [];
  client.isEcho = false;
  server.isEcho = false;
  client.machine.call(1, bytesOf("grant me"), () => seen.push(`granted after ${client.asked.length}`));
  link.pump();
  client.ask("x".repeat(LARGE_BYTES));
  client.ask("y".repeat(LARGE_BYTES));
  server.machine.call(5n, 2, bytesOf("invalidate"), () => {});
  server.asked[0]?.respond(0, bytesOf(""));
  link.collect();

  link.feedClient();
  expect([client.asked.length, seen]).toEqual([0, []]);
  link.pump();
  beatOfServer(link);

  expect(seen).toEqual(["granted after 1"]);
});

test("two sides that both ask faster than they take answers do not wait for each other for ever", () => {
  const limits = { outboxBusyBytes: 1.5 * LARGE_BYTES };
  const [client, server] = [new Client(5n, { limits }), new Server(1n, { limits })];
  const link = new Link(client, server).pump();
  const errors: number[] = [];
  for (let number = 0; number < 10; number += 1) {
    client.ask("x".repeat(LARGE_BYTES));
    server.machine.call(5n, 2, new Uint8Array(LARGE_BYTES), (error) => errors.push(error));
  }
  link.collect();

  for (let beat = 0; beat < 20; beat += 1) {
    link.pump();
    beatOfClient(link);
    beatOfServer(link);
  }

  expect(client.answers).toHaveLength(10);
  expect(errors).toHaveLength(10);
});

test("a peer that sends on while too much of it waits gets answers without their bodies, and the session lives", () => {
  const client = new Client(5n);
  const server = new Server(1n, {
    limits: {
      outboxBusyBytes: 1.5 * LARGE_BYTES,
      outboxBytesMax: 2.5 * LARGE_BYTES,
      inboxBytesMax: 1.5 * LARGE_BYTES,
    },
  });
  const link = new Link(client, server).pump();
  const asked = ["a", "b", "c", "d", "e", "f"].map((letter) => letter.repeat(LARGE_BYTES));
  for (const body of asked) client.ask(body);
  link.collect();

  link.feedServer();
  expect(server.machine.counts()).toMatchObject({
    waitingBytes: 2 * (LARGE_BYTES + WAITING_FRAME_BYTES),
    droppedAnswersCount: 2,
  });
  link.pump();
  beatOfClient(link);

  expect(server.bodies).toEqual(asked);
  expect(client.answers.map((answer) => answer.slice(LARGE_BYTES, LARGE_BYTES + 3))).toEqual([
    "→0 ",
    "→0 ",
    `→${CALL_ANSWER_DROPPED}`.slice(0, 3),
    `→${CALL_ANSWER_DROPPED}`.slice(0, 3),
    "→0 ",
    "→0 ",
  ]);
});

test("H46: a peer that acknowledges nothing, whatever it is sent, is cut off in the end and costs bounded memory", () => {
  const client = new Client(5n);
  const server = new Server(1n, {
    limits: { outboxBusyBytes: 4000, outboxBytesMax: 8000, inboxBytesMax: 4000 },
  });
  const link = new Link(client, server).pump();
  for (let number = 0; number < 100; number += 1) client.ask("x".repeat(1000));
  link.collect();

  expect(() => link.feedServer()).toThrow(/more than 16000 unacknowledged bytes/);
  expect(server.bodies.length).toBeLessThan(20);
});

test("an answer too large for what may be kept is replaced by an error, small ones are kept, and the session lives", () => {
  const client = new Client(5n);
  const server = new Server(1n, { limits: { outboxBytesMax: 10_000 } });
  const link = new Link(client, server).pump();
  server.isEcho = false;
  for (const body of ["first", "large", "small"]) client.ask(body);
  link.pump();

  server.asked[0]?.respond(0, bytesOf("x".repeat(8000)));
  server.asked[1]?.respond(0, bytesOf("y".repeat(SMALL_ANSWER_BYTES + 1)));
  server.asked[2]?.respond(0, bytesOf("z".repeat(SMALL_ANSWER_BYTES)));
  link.pump();

  expect(client.answers.map((answer) => answer.slice(0, 13))).toEqual([
    "first→0 xxxxx",
    `large→${CALL_ANSWER_DROPPED} `,
    "small→0 zzzzz",
  ]);
  expect(server.machine.counts().droppedAnswersCount).toBe(1);
});

test("an answer longer than a frame is a bug of the handler, not sent", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  client.ask("a");
  link.pump();

  expect(() => server.asked[0]?.respond(0, new Uint8Array(MIB + 1))).toThrow(/fits into a frame/);
});

/** What the client has received is acknowledged, and all that brings about happens. */
function beatOfClient(link: Link): void {
  link.toServer = joined(link.toServer, link.client.machine.session.heartbeat());
  link.pump();
}

function beatOfServer(link: Link): void {
  link.toClient = joined(link.toClient, link.connection.heartbeat());
  link.pump();
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
