import { decodeFrame, encodeFrame } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  ACK_AFTER_FRAMES,
  CALL_ABORTED,
  CALL_MALFORMED,
  COMMAND_HEARTBEAT,
  RESERVED_MIN,
  Session,
} from "../src/index.ts";
import { Client, Link, Server, bytesOf, text } from "./rig.ts";

test("requests are answered in both directions", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  const answers: string[] = [];

  client.ask("from the member");
  server.machine.call(5n, 2, bytesOf("from the server"), (error, body) =>
    answers.push(`${error} ${text(body)}`),
  );
  link.pump();

  expect(client.answers).toEqual(["from the member→0 from the member"]);
  expect(answers).toEqual(["0 from the server"]);
});

test("N1: an answer given while the connection is broken reaches the caller by the next one", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  client.ask("slow");
  link.pump();
  link.cut();

  server.asked[0]?.respond(0, bytesOf("done"));
  new Link(client, server).pump();

  expect(client.answers).toEqual(["slow→0 done"]);
  expect(server.bodies).toEqual(["slow"]);
});

test("N3, N4: a reconnect sends what was not received, and never an old greeting", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const first = new Link(client, server).pump();
  client.ask("a");
  first.collect();
  first.cut();
  client.ask("b");

  const second = new Link(client, server).pump();

  expect(server.bodies).toEqual(["a", "b"]);
  expect(client.answers).toEqual(["a→0 a", "b→0 b"]);
  expect(second.connection.isOpen).toBe(true);
});

test("N8: a request sent twice is processed once, an answer sent twice is given once", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const first = new Link(client, server).pump();
  client.ask("a");
  first.collect();
  first.feedServer();
  first.cut();

  new Link(client, server).pump().cut();
  new Link(client, server).pump();

  expect(server.bodies).toEqual(["a"]);
  expect(client.answers).toEqual(["a→0 a"]);
});

test("N9: a cancelled call is not called back, neither by its answer nor by the end", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  const cancel = client.ask("a");
  link.collect();

  cancel?.();
  link.pump();
  client.machine.session.close();

  expect(server.bodies).toEqual(["a"]);
  expect(client.answers).toEqual([]);
  expect(client.machine.session.pendingCount).toBe(0);
});

test("a call cancelled before it could be sent never is", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const cancel = client.ask("a");
  client.ask("b");

  cancel?.();
  new Link(client, server).pump();

  expect(server.bodies).toEqual(["b"]);
});

test("N11: a damaged frame stops the stream at that frame", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  client.ask("a");
  link.collect();
  link.toServer[20] = (link.toServer[20] ?? 0) ^ 1;

  expect(() => link.feedServer()).toThrow(/checksum/);
  expect(server.bodies).toEqual([]);
});

test("N12: an error that is no 16-bit number is a bug of the handler, not sent", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  client.ask("a");
  link.pump();

  expect(() => server.asked[0]?.respond(-22, bytesOf(""))).toThrow(/16-bit/);
});

test("N13: an answer with an error carries a body", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  client.ask("a");
  link.pump();

  server.asked[0]?.respond(3, bytesOf("job 12"));
  link.pump();

  expect(client.answers).toEqual(["a→3 job 12"]);
});

test("N14: a new server counts from one, and gets the unanswered requests again in their order", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  old.isEcho = false;
  const link = new Link(client, old).pump();
  for (const body of ["a", "b", "c"]) client.ask(body);
  link.pump();
  old.asked[1]?.respond(0, bytesOf("from old"));
  link.pump();
  link.cut();

  new Link(client, next).pump();

  expect(client.log).toEqual(["greeted 1 new", "greeted 2 new"]);
  expect(next.bodies).toEqual(["a", "c"]);
  expect(client.answers).toEqual(["b→0 from old", "a→0 a", "c→0 c"]);
});

test("N15: an answer owed to the old server is not given to the new one, however late it comes", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  client.isEcho = false;
  const link = new Link(client, old).pump();
  old.machine.call(5n, 2, bytesOf("from old"), () => {});
  old.machine.call(5n, 2, bytesOf("from old too"), () => {});
  link.pump();
  link.cut();
  client.asked[0]?.respond(0, bytesOf("before the new server"));
  const second = new Link(client, next).pump();
  const answers: string[] = [];
  next.machine.call(5n, 2, bytesOf("from next"), (error, body) => answers.push(`${error} ${text(body)}`));
  second.pump();

  client.asked[1]?.respond(0, bytesOf("after it"));
  client.asked[2]?.respond(0, bytesOf("for next"));
  second.pump();

  expect(answers).toEqual(["0 for next"]);
});

test("N16: a call bound to one server is aborted by the next, ordinary ones wait until it is introduced", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  old.isEcho = false;
  client.isIntroducing = false;
  const link = new Link(client, old).pump();
  const bound: number[] = [];
  client.machine.call(3, bytesOf("join"), (error) => bound.push(error), true);
  client.ask("ordinary");
  link.pump();
  expect(old.bodies).toEqual(["join"]);
  link.cut();

  const second = new Link(client, next).pump();
  expect(bound).toEqual([CALL_ABORTED]);
  client.machine.call(3, bytesOf("reclaim"), (error) => bound.push(error), true);
  second.pump();
  expect(next.bodies).toEqual(["reclaim"]);
  client.machine.introduced(2n);
  second.pump();

  expect(next.bodies).toEqual(["reclaim", "ordinary"]);
  expect(bound).toEqual([CALL_ABORTED, 0]);
});

test("an introduction that failed is repeated with the same server", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  client.isIntroducing = false;
  server.isEcho = false;
  const bound: number[] = [];
  const link = new Link(client, server).pump();
  client.machine.call(3, bytesOf("join"), (error) => bound.push(error), true);
  link.pump();

  client.machine.introductionFailed(1n);
  link.cut();
  client.isIntroducing = true;
  client.ask("ordinary");
  new Link(client, server).pump();

  expect(bound).toEqual([CALL_ABORTED]);
  expect(client.log).toEqual(["greeted 1 new", "greeted 1"]);
  expect(server.bodies).toEqual(["join", "ordinary"]);
});

test("N21: requests and answers submitted in one order arrive in that order", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  client.isEcho = false;
  const seen: string[] = [];
  server.machine.call(5n, 2, bytesOf("invalidate"), () => seen.push("invalidated"));
  link.pump();
  server.isEcho = false;

  client.ask("1");
  client.asked[0]?.respond(0, bytesOf(""));
  client.ask("2");
  link.collect();
  const request = server.asked.push.bind(server.asked);
  server.asked.push = (...items) => {
    for (const { body } of items) seen.push(body);
    return request(...items);
  };
  link.pump();

  expect(seen).toEqual(["1", "invalidated", "2"]);
});

test("N22: a request that is answered late holds up nobody", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  client.ask("blocked");
  link.pump();
  server.isEcho = true;

  client.ask("quick");
  link.pump();
  server.asked[0]?.respond(0, bytesOf("at last"));
  link.pump();

  expect(client.answers).toEqual(["quick→0 quick", "blocked→0 at last"]);
});

test("N23: ten thousand requests in flight are answered in any order, across a reconnect and a new server", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  old.isEcho = false;
  next.isEcho = false;
  const link = new Link(client, old).pump();
  const bodies = Array.from({ length: 10_000 }, (_, index) => `request ${index}`);
  for (const body of bodies) client.ask(body);
  link.pump();
  for (const { respond, body } of old.asked.toReversed()) if (body.endsWith("7")) respond(0, bytesOf("old"));
  link.pump();
  link.cut();

  const second = new Link(client, next).pump();
  for (const { respond } of next.asked.toReversed()) respond(0, bytesOf("next"));
  second.pump();

  expect(next.bodies).toEqual(bodies.filter((body) => !body.endsWith("7")));
  expect(client.answers).toHaveLength(10_000);
  expect(new Set(client.answers).size).toBe(10_000);
});

test("a steady flow over one connection goes on however much has been acknowledged", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  for (let round = 0; round < 40; round += 1) {
    for (let index = 0; index < 5; index += 1) {
      client.ask(`${round}.${index} ${"x".repeat(index * 2000)}`);
      link.collect();
    }
    link.pump();
    expect(client.answers).toHaveLength(5 * (round + 1));
  }
});

test("N26: closing aborts every call, sent or waiting, once", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  client.ask("sent");
  link.pump();
  link.cut();
  client.ask("waiting");

  client.machine.session.close();
  client.machine.session.close();

  expect(client.answers).toEqual([`sent→${CALL_ABORTED} `, `waiting→${CALL_ABORTED} `]);
  expect(client.ask("late")).toBeUndefined();
});

test("one-way traffic is acknowledged alone, so that the sender can forget", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  for (let index = 0; index < ACK_AFTER_FRAMES; index += 1) client.ask("a");
  link.collect();
  link.feedServer();

  const { command, recvSeq } = decodeFrame(link.toClient);
  expect([command, recvSeq]).toEqual([COMMAND_HEARTBEAT, ACK_AFTER_FRAMES]);
});

test("a request that its handler cannot decode is answered as malformed, and the session goes on", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  const push = server.asked.push.bind(server.asked);
  server.asked.push = (...items) => {
    if (items[0]?.body === "bad") throw new RangeError("LockRequest has 65 bytes, not 3");
    return push(...items);
  };

  client.ask("bad");
  client.ask("good");
  link.pump();

  expect(client.answers).toEqual([`bad→${CALL_MALFORMED} `, "good→0 good"]);
});

test("any other error of a handler is not swallowed", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.asked.push = () => {
    throw new TypeError("a bug");
  };
  client.ask("a");
  link.collect();

  expect(() => link.feedServer()).toThrow("a bug");
});

test("a body may be written to again as soon as the call or the response returned", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  old.isEcho = false;
  const link = new Link(client, old).pump();
  const scratch = bytesOf("mine");
  client.machine.call(1, scratch, () => {});
  link.pump();
  scratch.fill(0);
  link.cut();

  new Link(client, next).pump();

  expect(next.bodies).toEqual(["mine"]);
});

test.each([
  ["a gap in the numbers", { seq: 3, recvSeq: 0, id: 1, command: 1, flags: 0 }],
  ["an acknowledgement of what was never sent", { seq: 1, recvSeq: 9, id: 1, command: 1, flags: 0 }],
  ["an answer nobody asked for", { seq: 1, recvSeq: 0, id: 4, command: 1, flags: 1 }],
  ["a reserved command", { seq: 1, recvSeq: 0, id: 1, command: RESERVED_MIN + 2, flags: 0 }],
  ["an unnumbered request", { seq: 0, recvSeq: 0, id: 1, command: 1, flags: 0 }],
])("%s cuts the connection off", (_, header) => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  link.toServer = encodeFrame({ ...header, error: 0 }, bytesOf(""));

  expect(() => link.feedServer()).toThrow(expect.objectContaining({ category: "protocol" }));
  expect(server.bodies).toEqual([]);
});

test("N27: nothing of an earlier body is left in what is sent later from the same memory", () => {
  const [first, second] = ["a", "b"].map((letter) => {
    const session = new Session({ request: () => {}, output: () => {} }, false);
    for (let number = 0; number < 100; number += 1) session.call(1, bytesOf(letter.repeat(1000)), () => {});
    session.drain(() => true);
    session.connected(100);
    const bytes: Uint8Array[] = [];
    for (let number = 0; number < 100; number += 1) session.call(1, bytesOf("c".repeat(number)), () => {});
    session.drain((chunk) => bytes.push(chunk.slice()) > 0);
    return bytes;
  });

  expect(first?.length).toBeGreaterThan(0);
  expect(first).toEqual(second);
});

test("a reserved command cannot be called", () => {
  const session = new Session({ request: () => {}, output: () => {} }, false);

  expect(() => session.call(COMMAND_HEARTBEAT, bytesOf(""), () => {})).toThrow(RangeError);
  expect(() => session.call(1, new Uint8Array(2 ** 20 + 1), () => {})).toThrow(RangeError);
});
