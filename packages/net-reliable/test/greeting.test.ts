import { expect, test } from "vitest";
import {
  CHALLENGE_FRAME_BYTES,
  EVICTED_MAX,
  GREETING_FRAME_BYTES,
  REFUSAL,
  WELCOME_FRAME_BYTES,
  isFinalRefusal,
  refusalName,
} from "../src/index.ts";
import { Client, Link, Server, bytesOf, identity, text, timing } from "./rig.ts";

test("the frames of the greeting have these sizes", () => {
  expect([CHALLENGE_FRAME_BYTES, GREETING_FRAME_BYTES, WELCOME_FRAME_BYTES]).toEqual([82, 164, 99]);
});

test.each([
  ["another volume", { fsid: 8n }, "0xff12", true],
  ["other formats", { formatHash: 8n }, "0xff13", true],
  ["another key", { key: new Uint8Array(32) }, "0xff14", false],
])("a member with %s is refused and leaves no trace", (_, other, code, isProven) => {
  const [client, server] = [new Client(5n, { identity: { ...identity, ...other } }), new Server(1n)];

  new Link(client, server).pump();

  expect(client.log).toEqual([`refused ${code}${isProven ? "" : " unproven"}`]);
  expect(server.log).toEqual([`refused 5 ${code}`]);
  expect(server.machine.sessionsCount).toBe(0);
});

test("a server that does not know the key is turned away, whatever it says", () => {
  const [client, stranger] = [
    new Client(5n),
    new Server(1n, { identity: { ...identity, key: new Uint8Array(32) } }),
  ];

  new Link(client, stranger).pump();

  expect(client.log).toEqual(["refused 0xff14 unproven"]);
  expect(client.machine.isOpen).toBe(false);
});

test("the layer above has the last word about a greeting", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  server.admission = REFUSAL.EVICTED;

  new Link(client, server).pump();

  expect(client.log).toEqual(["refused 0xff11"]);
});

test("a member that knows a later term is turned away, to look for the newer server", () => {
  const client = new Client(5n);
  new Link(client, new Server(3n)).pump().cut();

  new Link(client, new Server(2n)).pump();

  expect(client.log).toEqual(["greeted 3 new", "refused 0xff21"]);
  expect(client.machine.term).toBe(3n);
  expect(isFinalRefusal(REFUSAL.STALE_TERM)).toBe(false);
});

test("a forgotten member is refused for good", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  new Link(client, server).pump().cut();
  server.machine.forget(5n);

  new Link(client, server).pump();

  expect(client.log).toEqual(["greeted 1 new", "refused 0xff16"]);
  expect(isFinalRefusal(REFUSAL.FORGOTTEN)).toBe(true);
});

test("an evicted member is cut off, its calls are aborted, and it is refused from then on", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  const errors: number[] = [];
  client.isEcho = false;
  server.machine.call(5n, 2, bytesOf("a"), (error) => errors.push(error));
  link.pump();

  server.machine.evict(5n);
  link.leave();
  new Link(client, server).pump();

  expect(errors).toEqual([0xff01]);
  expect(server.log).toEqual(["up 5", "end evicted", "down 5", "refused 5 0xff11"]);
  expect(client.log).toEqual(["greeted 1 new", "refused 0xff11"]);
});

test("a server remembers so many evicted members by itself; of older ones the layer above knows", () => {
  const server = new Server(1n);
  for (let rid = 1n; rid <= EVICTED_MAX + 1; rid += 1n) server.machine.evict(rid);
  const [oldest, next] = [new Client(1n), new Client(2n)];

  new Link(oldest, server).pump();
  new Link(next, server).pump();

  expect(oldest.log).toEqual(["greeted 1 new"]);
  expect(next.log).toEqual(["refused 0xff11"]);
});

test("a welcome that was lost does not keep the member out, and costs it nothing", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server);
  link.feedClient();
  link.feedServer();
  const answers: string[] = [];
  server.machine.call(5n, 2, bytesOf("early"), (error, body) => answers.push(`${error} ${text(body)}`));
  link.cut();

  new Link(client, server).pump();

  expect(server.log).toEqual(["up 5", "down 5", "up 5"]);
  expect(answers).toEqual(["0 early"]);
});

test("N2: of two connections of one member the newest attempt wins, and the older is never merged into it", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const older = new Link(client, server);
  older.feedClient();
  older.leave();
  const newer = new Link(client, server).pump();

  older.feedServer();

  expect(server.log).toEqual(["up 5", "refused 5 0xff22"]);
  expect(newer.connection.isOpen).toBe(true);
});

test("N2, N6: a newer connection steals the session from one that still seems alive, and bytes of the old one are ignored", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const older = new Link(client, server).pump();
  client.ask("a");
  older.collect();
  older.leave();
  const newer = new Link(client, server).pump();

  older.feedServer();
  server.machine.ended(older.connection, 0);
  client.ask("b");
  newer.pump();

  expect(server.bodies).toEqual(["a", "b"]);
  expect(server.log).toEqual(["up 5", "end replaced"]);
  expect(server.machine.isConnected(5n)).toBe(true);
});

test("N6: what the server asks before, while and after a newer connection takes over arrives once, in order, by the newer", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const older = new Link(client, server).pump();
  const answers: string[] = [];
  const call = (body: string): void =>
    void server.machine.call(5n, 2, bytesOf(body), (error, answer) =>
      answers.push(`${error} ${text(answer)}`),
    );
  older.leave();
  const newer = new Link(client, server);

  call("given to the older connection");
  older.collect();
  newer.feedClient();
  call("kept while the newer one greets");
  newer.feedServer();
  call("given to the newer one");
  newer.pump();

  const asked = [
    "given to the older connection",
    "kept while the newer one greets",
    "given to the newer one",
  ];
  expect(client.asked.map(({ body }) => body)).toEqual(asked);
  expect(answers).toEqual(asked.map((body) => `0 ${body}`));
  expect(server.log).toEqual(["up 5", "end replaced"]);
});

test("N5, N10: a call to a member that is gone is refused, not kept", () => {
  const server = new Server(1n);
  new Link(new Client(5n), server).pump();
  server.machine.forget(5n);

  expect(server.machine.call(5n, 2, bytesOf("a"), () => {})).toBeUndefined();
  expect(server.machine.has(5n)).toBe(false);
});

test("N20: a connection that ends without a greeting concerns nobody", () => {
  const server = new Server(1n);
  const link = new Link(new Client(5n), server);

  link.cut();

  expect(server.log).toEqual([]);
  expect(server.machine.greetingCount).toBe(0);
  expect(() => new Client(0n)).toThrow(RangeError);
});

test("a connection that greets too slowly is cut off", () => {
  const server = new Server(1n);
  const link = new Link(new Client(5n), server, 100);

  server.machine.tick(100 + timing.greetingTimeoutMs - 1);
  expect(server.log).toEqual([]);
  server.machine.tick(100 + timing.greetingTimeoutMs);

  expect(server.log).toEqual(["end slow-greeter"]);
  expect(link.isCut).toBe(true);
});

test("one greeting connection too many cuts off the oldest of them, and nobody who has greeted", () => {
  const server = new Server(1n, { greetingConnectionsMax: 2 });
  const member = new Link(new Client(5n), server).pump();
  const strangers = [6n, 7n, 8n].map((rid) => new Link(new Client(rid), server));

  expect(server.log).toEqual(["up 5", "end crowded"]);
  expect(strangers.map(({ isCut }) => isCut)).toEqual([true, false, false]);
  expect(member.connection.isOpen).toBe(true);
});

test("one session too many is told to come again", () => {
  const server = new Server(1n, { sessionsMax: 1 });
  new Link(new Client(5n), server).pump();
  const late = new Client(6n);

  new Link(late, server).pump();

  expect(late.log).toEqual(["refused 0xff23"]);
  expect(isFinalRefusal(REFUSAL.SERVER_FULL)).toBe(false);
});

test("garbage in place of a greeting is noticed at its header", () => {
  const link = new Link(new Client(5n), new Server(1n));

  expect(() =>
    link.connection.receive(bytesOf("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"), 0),
  ).toThrow(expect.objectContaining({ category: "protocol" }));
});

test("a greeting arrives byte by byte as well as in one piece", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server);
  while (link.toClient.length + link.toServer.length > 0) {
    if (link.toClient.length > 0) link.feedClient(1);
    if (link.toServer.length > 0) link.feedServer(1);
  }

  expect(client.log).toEqual(["greeted 1 new"]);
  expect(server.log).toEqual(["up 5"]);
});

test("refusals have names", () => {
  expect(refusalName(REFUSAL.EVICTED)).toBe("EVICTED");
  expect(refusalName(12)).toBe("0xc");
});
