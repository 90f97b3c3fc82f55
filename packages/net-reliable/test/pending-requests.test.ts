import { expect, test } from "vitest";
import { CALL_ABORTED } from "../src/index.ts";
import { Client, Link, Server, bytesOf } from "./rig.ts";

test("a request that waits while thousands come and go is answered, or goes to a new server first", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  const link = new Link(client, old).pump();
  const stuck = [1, 2, 20, 21, 500, 3000];
  for (let number = 1; number <= 5000; number += 1) {
    old.isEcho = !stuck.includes(number);
    client.ask(`${number}`);
    if (number % 3 === 0 || stuck.includes(number) || stuck.includes(number + 1)) link.pump();
  }
  link.pump();
  expect(client.machine.session.pendingCount).toBe(stuck.length);
  old.asked.find(({ body }) => body === "20")?.respond(0, bytesOf("late"));
  link.pump();
  link.cut();
  client.ask("5001");

  new Link(client, next).pump();

  expect(next.bodies).toEqual(["1", "2", "21", "500", "3000", "5001"]);
  expect(client.answers).toContain("20→0 late");
  expect(new Set(client.answers).size).toBe(5001);
  expect(client.machine.session.pendingCount).toBe(0);
});

test("large requests that wait amid others of both directions go whole to a new server", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  const link = new Link(client, old).pump();
  for (let number = 0; number < 40; number += 1) {
    old.isEcho = number % 3 !== 0;
    client.ask(`${number} ${"x".repeat(20_000)}`);
    old.machine.call(5n, 2, bytesOf(`${number} ${"y".repeat(20_000)}`), () => {});
    link.pump();
  }
  const waiting = old.bodies.filter((_, number) => number % 3 === 0);
  link.cut();

  new Link(client, next).pump();

  expect(next.bodies).toEqual(waiting);
  expect(client.answers).toHaveLength(40);
});

test("a session that rested goes on, with the requests that waited meanwhile", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  client.ask("waiting");
  link.pump();
  server.isEcho = true;
  for (let round = 0; round < 3; round += 1) {
    for (let number = 0; number < 2000; number += 1) client.ask(`${round}.${number} ${"x".repeat(100)}`);
    link.pump();
    client.machine.session.heartbeat();
    link.connection.heartbeat();
  }

  server.asked[0]?.respond(0, bytesOf("at last"));
  link.pump();
  client.machine.session.heartbeat();
  client.ask("more");
  link.pump();

  expect(client.answers.slice(-2)).toEqual(["waiting→0 at last", "more→0 more"]);
  expect(new Set(client.answers).size).toBe(6002);
});

test("N9: cancelling again, or after the answer, concerns no later call", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const waiting = client.ask("never sent");
  waiting?.();
  const link = new Link(client, server).pump();
  const answered = client.ask("answered");
  link.pump();
  const sent = client.ask("sent");
  link.collect();
  sent?.();
  link.pump();

  for (let number = 0; number < 100; number += 1) {
    client.ask(`${number}`);
    for (const cancel of [waiting, answered, sent]) cancel?.();
  }
  link.pump();

  expect(client.answers).toHaveLength(101);
  expect(client.machine.session.pendingCount).toBe(0);
});

test("N9: a call that is cancelled while others are aborted is not called back", () => {
  const client = new Client(5n);
  const cancels: (() => void)[] = [];
  const aborted: string[] = [];
  const ask = (name: string, isBound: boolean): void => {
    const cancel = client.machine.call(
      1,
      bytesOf(name),
      (error) => {
        aborted.push(`${name} ${error}`);
        for (const each of cancels) each();
      },
      isBound,
    );
    if (cancel !== undefined) cancels.push(cancel);
  };
  const [old, next] = [new Server(1n), new Server(2n)];
  client.isIntroducing = false;
  old.isEcho = false;
  const link = new Link(client, old).pump();
  ask("bound", true);
  ask("bound too", true);
  link.pump();
  link.cut();
  new Link(client, next).pump();
  expect(aborted).toEqual([`bound ${CALL_ABORTED}`]);
  ask("ordinary", false);
  ask("ordinary too", false);

  client.machine.session.close();

  expect(aborted).toEqual([`bound ${CALL_ABORTED}`, `ordinary ${CALL_ABORTED}`]);
  expect(client.machine.session.pendingCount).toBe(0);
});

test("a call made while others are aborted is not one of them", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  client.isIntroducing = false;
  old.isEcho = false;
  const link = new Link(client, old).pump();
  for (const name of ["a", "b", "c"])
    client.machine.call(1, bytesOf(name), (error) => client.ask(`again ${name} ${error}`), true);
  link.pump();
  link.cut();
  client.isIntroducing = true;

  new Link(client, next).pump();

  expect(next.bodies).toEqual(["a", "b", "c"].map((name) => `again ${name} ${CALL_ABORTED}`));
  expect(client.answers).toHaveLength(3);
});
