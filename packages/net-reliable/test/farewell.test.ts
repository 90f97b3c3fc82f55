import { expect, test } from "vitest";
import { CALL_ABORTED, COMMAND_FAREWELL, REFUSAL } from "../src/index.ts";
import { Client, Link, Server, bytesOf, identity, text, timing } from "./rig.ts";

test("F1: a first greeting that is repeated, to the same server or the next, is a success each time", () => {
  const client = new Client(5n);
  const [first, second] = [new Server(1n), new Server(2n)];
  const lost = new Link(client, first);
  lost.feedClient();
  lost.feedServer();
  lost.cut();
  const lostAgain = new Link(client, first);
  lostAgain.feedClient();
  lostAgain.feedServer();
  lostAgain.cut();

  new Link(client, second).pump();

  expect(first.log).toEqual(["up 5", "down 5", "up 5", "down 5"]);
  expect(second.log).toEqual(["up 5"]);
  expect(client.log).toEqual(["greeted 2 new"]);
});

test("F2: the greeting compares the volume, so that a member of another one with the same key stays out", () => {
  const [client, server] = [new Client(5n, { identity: { ...identity, fsid: 8n } }), new Server(1n)];

  new Link(client, server).pump();

  expect(client.log).toEqual([`refused 0x${REFUSAL.WRONG_VOLUME.toString(16)}`]);
  expect(server.machine.sessionsCount).toBe(0);
});

test("F7: a farewell that is answered when its server has stopped goes nowhere, and the next server answers it", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  old.isEcho = false;
  const link = new Link(client, old).pump();
  client.machine.leave();
  client.ask("bye", COMMAND_FAREWELL);
  link.pump();

  old.machine.close();
  old.asked[0]?.respond(0, bytesOf("of the old one"));
  link.pump();
  link.cut();
  new Link(client, next).pump();

  expect(client.answers).toEqual(["bye→0 bye"]);
});

test("F8: a farewell still in work when its member was forgotten answers nobody who comes later", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  server.isEcho = false;
  const link = new Link(client, server).pump();
  client.machine.leave();
  client.ask("bye", COMMAND_FAREWELL);
  link.pump();
  server.machine.forget(5n);
  link.cut();
  const again = new Link(client, server).pump();

  server.asked[0]?.respond(0, bytesOf("stale"));
  again.pump();
  expect(client.answers).toEqual([]);
  server.asked[1]?.respond(0, bytesOf("fresh"));
  again.pump();

  expect(client.answers).toEqual(["bye→0 fresh"]);
});

test("F9: a member that vanished before it could use its session expires like any other", () => {
  const server = new Server(1n);
  const link = new Link(new Client(5n), server);
  link.feedClient();
  link.feedServer();
  link.cut(0);

  server.machine.tick(timing.forgetMs);

  expect(server.log).toEqual(["up 5", "down 5", "expired 5"]);
});

test("F11: a member that waits for its farewell's answer goes on answering", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  server.isEcho = false;
  const link = new Link(client, server).pump();
  client.machine.leave();
  client.ask("bye", COMMAND_FAREWELL);
  link.pump();
  const answers: string[] = [];

  server.machine.call(5n, 2, bytesOf("invalidate"), (error, body) => answers.push(`${error} ${text(body)}`));
  link.pump();

  expect(answers).toEqual(["0 invalidate"]);
  expect(client.answers).toEqual([]);
});

test("N30: a member whose farewell was answered into the void is let in once more and answered again", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  client.ask("before");
  link.pump();
  client.machine.leave();
  client.ask("bye", COMMAND_FAREWELL);
  link.collect();
  link.feedServer();
  server.machine.forget(5n);
  link.cut();
  expect(client.answers).toEqual(["before→0 before"]);

  new Link(client, server).pump();

  expect(server.bodies).toEqual(["before", "bye", "bye"]);
  expect(client.answers).toEqual(["before→0 before", "bye→0 bye"]);
});

test("N30: what a leaving member had asked before it was forgotten is not asked a second time", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  client.ask("once");
  link.collect();
  link.feedServer();
  server.machine.forget(5n);
  link.cut();
  client.machine.leave();
  client.ask("bye", COMMAND_FAREWELL);

  new Link(client, server).pump();

  expect(server.bodies).toEqual(["once", "bye"]);
  expect(client.answers).toEqual([`once→${CALL_ABORTED} `, "bye→0 bye"]);
});

test("the answer to a farewell still goes out when the member is forgotten in the same breath", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  client.machine.leave();
  client.ask("bye", COMMAND_FAREWELL);
  link.collect();
  link.feedServer();
  server.machine.forget(5n);
  link.feedClient();

  expect(client.answers).toEqual(["bye→0 bye"]);
  expect(server.log).toEqual(["up 5", "end forgotten", "down 5"]);
});

test("a server that stops aborts its calls to members, and answers given before still go out", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  const errors: number[] = [];
  client.isEcho = false;
  server.machine.call(5n, 2, bytesOf("a"), (error) => errors.push(error));
  client.ask("last");
  link.collect();
  link.feedServer();

  server.machine.close();
  link.feedClient();

  expect(errors).toEqual([CALL_ABORTED]);
  expect(client.answers).toEqual(["last→0 last"]);
});
