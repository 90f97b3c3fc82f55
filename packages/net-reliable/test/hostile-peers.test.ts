/*
 * What peers may do to a session, with and without the key. The numbers are those of the table in
 * docs/protocols/sessions.md.
 */
import { FrameParser, encodeFrame, xxhash32 } from "@holdfast/wire-format";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  COMMAND_GREETING,
  COMMAND_HEARTBEAT,
  COMMAND_WELCOME,
  GREETING_CONNECTIONS_MAX,
  GREETING_FRAME_BYTES,
  REFUSAL,
  WELCOME_FRAME_BYTES,
  cutReason,
} from "../src/index.ts";
import { Client, Link, Server, bytesOf, identity, nonce, timing } from "./rig.ts";

const stranger = { identity: { ...identity, key: new Uint8Array(32) } };
const request = { seq: 1, recvSeq: 0, id: 1, command: 1, error: 0, flags: 0 };
const outside = { seq: 0, recvSeq: 0, id: 0, command: COMMAND_GREETING, error: 0, flags: 0 };

function reasonOf(action: () => void): string {
  try {
    action();
  } catch (error) {
    return cutReason(error);
  }
  return "nothing";
}

test("H41: who does not know the key leaves nothing behind, however well it greets", () => {
  const server = new Server(1n);

  for (let rid = 1n; rid <= 100n; rid += 1n) new Link(new Client(rid, stranger), server).pump().cut();

  expect([server.machine.sessionsCount, server.machine.greetingCount]).toEqual([0, 0]);
  expect(new Set(server.log.map((line) => line.replace(/^refused \d+/, "")))).toEqual(new Set([" 0xff14"]));
});

test("H42: a recorded greeting does not open another connection", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server);
  link.feedClient();
  const recorded = link.toServer.slice();
  link.pump();
  const thief = new Link(new Client(6n), server);

  thief.connection.receive(recorded, 0);

  expect(server.log).toEqual(["up 5", "refused 5 0xff14"]);
});

test("H42: a recorded welcome does not take in a member, nor turn it away for good", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server);
  link.feedClient();
  link.feedServer();
  const recorded = link.toClient.slice(0, WELCOME_FRAME_BYTES);
  link.cut();
  const next = new Link(client, server);
  next.feedClient();

  next.toClient = recorded;
  next.feedClient();

  expect(client.log).toEqual(["refused 0xff14 unproven"]);
  expect(client.machine.isOpen).toBe(false);
});

test("H42: what a member says, played back to it, is no server's word", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server);
  link.feedClient();
  const greeting = link.toServer.slice();
  const reflected = greeting.slice(0, WELCOME_FRAME_BYTES);
  const relabelled = encodeFrame(
    { ...outside, command: COMMAND_WELCOME },
    greeting.slice(48, WELCOME_FRAME_BYTES),
  );

  link.toClient = reflected;
  expect(reasonOf(() => link.feedClient())).toBe("greeting");
  const second = new Link(client, server);
  second.feedClient();
  second.toClient = relabelled;
  expect(reasonOf(() => second.feedClient())).toBe("greeting");

  expect(client.machine.isOpen).toBe(false);
});

test("H42: two servers played against each other take in nobody: a greeting is for one challenge", () => {
  const [first, second] = [new Server(1n), new Server(1n)];
  const [alice, bob] = [new Client(5n), new Client(6n)];
  const toFirst = new Link(alice, first);
  const toSecond = new Link(bob, second);
  toFirst.feedClient();
  toSecond.feedClient();

  [toFirst.toServer, toSecond.toServer] = [toSecond.toServer, toFirst.toServer];
  toFirst.pump();
  toSecond.pump();

  expect([first.log, second.log]).toEqual([["refused 6 0xff14"], ["refused 5 0xff14"]]);
});

test.each([
  ["the member's number", 66],
  ["the term it knows", 74],
  ["the number of its attempt", 82],
  ["what it received", 90],
])("H43: a greeting with %s changed on its way is refused", (_, offset) => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server);
  link.feedClient();
  const body = link.toServer.slice(48, GREETING_FRAME_BYTES);
  body[offset - 48] = (body[offset - 48] ?? 0) ^ 1;
  link.toServer = encodeFrame(outside, body);

  link.pump();

  expect(server.machine.sessionsCount).toBe(0);
  expect(client.log).toEqual([`refused 0x${REFUSAL.BAD_PROOF.toString(16)}`]);
});

test.each([0xffff_ffff, 0x8000_0000, 2 ** 20 + 17])(
  "H44: a frame that announces %i bytes is cut off at its header, before and after the greeting",
  (announced) => {
    const [client, server] = [new Client(5n), new Server(1n)];
    const forged = forgedLength(announced);

    const greeting = new Link(new Client(6n), server);
    expect(reasonOf(() => greeting.connection.receive(forged, 0))).toBe("oversize");
    const open = new Link(client, server).pump();
    expect(reasonOf(() => open.connection.receive(forged, 0))).toBe("oversize");

    expect(server.bodies).toEqual([]);
  },
);

test("H44: a damaged length is found by the header's checksum, so nothing waits for those bytes", () => {
  const link = new Link(new Client(5n), new Server(1n)).pump();
  const frame = encodeFrame(request, bytesOf("a"));
  frame[5] = 1;

  expect(reasonOf(() => link.connection.receive(frame, 0))).toBe("garbage");
});

test("H44: a stranger cannot make the server wait for more than a greeting", () => {
  const link = new Link(new Client(5n), new Server(1n));
  const announced = encodeFrame(outside, new Uint8Array(2 ** 20)).subarray(0, 48);

  expect(reasonOf(() => link.connection.receive(announced, 0))).toBe("greeting");
});

test("H45: five thousand connections of a byte each hold no more than their places, and no member notices", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const member = new Link(client, server).pump();

  for (let number = 0; number < 5000; number += 1)
    server.machine.accept(nonce(), number).receive(Uint8Array.of(1), number);
  client.ask("still here?");
  member.pump();

  expect(server.machine.greetingCount).toBe(GREETING_CONNECTIONS_MAX);
  expect(client.answers).toEqual(["still here?→0 still here?"]);
  server.machine.tick(5000 + timing.greetingTimeoutMs);
  expect(server.machine.greetingCount).toBe(0);
});

test("H45: strangers who were refused take the places of strangers until they are gone", () => {
  const server = new Server(1n, { greetingConnectionsMax: 3 });
  const links = [1n, 2n, 3n, 4n, 5n].map((rid) => new Link(new Client(rid, stranger), server).pump());

  expect(server.machine.greetingCount).toBe(3);
  expect(server.log.filter((line) => line === "end crowded")).toHaveLength(2);
  server.machine.tick(timing.greetingTimeoutMs);
  for (const link of links) link.cut();
  expect(server.machine.greetingCount).toBe(0);
  expect(server.log).not.toContain("end slow-greeter");
});

test("H45: one address that takes all its places crowds out itself, not those who come from others", () => {
  const server = new Server(1n, { greetingPerAddressMax: 2, greetingConnectionsMax: 10 });
  const other = server.machine.accept(nonce(), 0, "10.0.0.1");
  const unknown = server.machine.accept(nonce(), 0);
  for (let number = 0; number < 100; number += 1) server.machine.accept(nonce(), 1, "10.0.0.9");
  const late = server.machine.accept(nonce(), 2, "10.0.0.2");

  expect(server.machine.greetingCount).toBe(5);
  expect(server.log).toHaveLength(98);
  server.machine.tick(timing.greetingTimeoutMs);
  expect([other, unknown, late].map(({ acceptedAt }) => acceptedAt)).toEqual([0, 0, 2]);
  expect(server.machine.greetingCount).toBe(3);
});

test("H51: a request before the greeting is no greeting", () => {
  const server = new Server(1n);
  const body = new Uint8Array(GREETING_FRAME_BYTES - 48);
  const link = new Link(new Client(5n), server);

  expect(reasonOf(() => link.connection.receive(encodeFrame(request, body), 0))).toBe("greeting");
  expect(server.bodies).toEqual([]);
});

test.each([
  ["a second greeting", { ...outside }, "command"],
  ["a welcome", { ...outside, command: COMMAND_WELCOME }, "command"],
  ["a numbered heartbeat", { ...request, command: COMMAND_HEARTBEAT }, "command"],
  ["an answer that was never asked for", { ...request, flags: 1 }, "sequence"],
])("H51: %s in an open session cuts the connection off and changes nothing", (_, header, reason) => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();

  expect(reasonOf(() => link.connection.receive(encodeFrame(header, new Uint8Array(116)), 0))).toBe(reason);
  link.cut();
  client.ask("a");
  new Link(client, server).pump();

  expect(client.answers).toEqual(["a→0 a"]);
});

test("H51: an answer given twice cuts the connection off, and the caller has the first one only", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  client.ask("a");
  link.pump();
  link.toClient = encodeFrame(
    { seq: 2, recvSeq: 1, id: 1, command: 1, error: 0, flags: 1 },
    bytesOf("other"),
  );

  expect(reasonOf(() => link.feedClient())).toBe("sequence");
  expect(client.answers).toEqual(["a→0 a"]);
});

test("H51: an answer to request 0, which nobody makes, cuts the connection off and changes nothing", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  for (let number = 0; number < 10; number += 1) {
    client.ask("a");
    link.pump();
  }

  link.toClient = encodeFrame({ seq: 11, recvSeq: 10, id: 0, command: 1, error: 0, flags: 1 }, bytesOf("b"));

  expect(reasonOf(() => link.feedClient())).toBe("sequence");
  expect(client.machine.session.pendingCount).toBe(0);
});

test.each([
  ["skipped", 4],
  ["repeated with other content (M1)", 2],
  ["decreased", 1],
])("H52: a request whose number is %s cuts the connection off; what was done before stays done", (_, seq) => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  for (const body of ["one", "two"]) client.ask(body);
  link.pump();

  const forged = encodeFrame({ ...request, seq, id: seq }, bytesOf("other"));
  expect(reasonOf(() => link.connection.receive(forged, 0))).toBe("sequence");
  link.cut();
  client.ask("three");
  new Link(client, server).pump();

  expect(server.bodies).toEqual(["one", "two", "three"]);
  expect(client.answers).toEqual(["one→0 one", "two→0 two", "three→0 three"]);
});

test("whatever bytes come instead of or after a greeting, only errors about the peer arise, and members go on", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const member = new Link(client, server).pump();
  let asked = 0;

  fc.assert(
    fc.property(
      fc.boolean(),
      fc.nat(400),
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      (isOpen, at, mutation) => {
        const link = new Link(new Client(6n + BigInt(asked)), server);
        if (isOpen) link.pump();
        else link.feedClient();
        link.client.ask("mutated");
        link.collect();
        const start = at % Math.max(1, link.toServer.length);
        link.toServer = Uint8Array.from([...link.toServer.slice(0, start), ...mutation]);
        expect(["nothing", "garbage", "oversize", "greeting"]).toContain(reasonOf(() => link.feedServer()));
        link.cut();
        server.machine.forget(link.client.machine.rid);

        client.ask(`${asked}`);
        member.pump();
        asked += 1;
        expect(client.answers.at(-1)).toBe(`${asked - 1}→0 ${asked - 1}`);
      },
    ),
    { numRuns: 300, ...(process.env["SEED"] === undefined ? {} : { seed: Number(process.env["SEED"]) }) },
  );

  expect(server.machine.sessionsCount).toBe(1);
});

/** A frame's header with a right checksum and a length that no frame has. */
function forgedLength(announced: number): Uint8Array {
  const frame = encodeFrame(request, new Uint8Array(0));
  const view = new DataView(frame.buffer);
  view.setUint32(4, announced, true);
  view.setUint32(0, xxhash32(view, 4, 32), true);
  expect(() => new FrameParser().push(frame, () => true)).toThrow(/announces/);
  return frame;
}
