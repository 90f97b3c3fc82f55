/*
 * What one side has received the other may forget: it is told with whatever goes that way, and alone where nothing does.
 */
import { decodeFrame } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { ACK_AFTER_BYTES, ACK_AFTER_FRAMES, COMMAND_HEARTBEAT } from "../src/index.ts";
import { Client, Link, Server, bytesOf, timing } from "./rig.ts";

const BODY = "x".repeat(8000);

/** A server that answers nothing, and a member that has asked so much. */
function oneWay(requestsCount: number, body: string): Link {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  server.isEcho = false;
  for (let number = 0; number < requestsCount; number += 1) client.ask(body);
  link.collect();
  link.feedServer();
  return link;
}

function acknowledgementIn(bytes: Uint8Array): readonly number[] {
  const { seq, command, recvSeq } = decodeFrame(bytes);
  return [seq, command, recvSeq];
}

test("many bytes that come without an answer are acknowledged alone, before it is time for a heartbeat", () => {
  const requestsCount = Math.ceil(ACK_AFTER_BYTES / BODY.length);

  expect(requestsCount).toBeLessThan(ACK_AFTER_FRAMES);
  expect(acknowledgementIn(oneWay(requestsCount, BODY).toClient)).toEqual([
    0,
    COMMAND_HEARTBEAT,
    requestsCount,
  ]);
});

test("a few that come without an answer are acknowledged by the next heartbeat, and not before", () => {
  const link = oneWay(3, "a");
  expect(link.toClient).toHaveLength(0);

  const [beating] = link.server.machine.tick(timing.heartbeatMs);

  expect(beating).toBe(link.connection);
  expect(acknowledgementIn(link.connection.heartbeat())).toEqual([0, COMMAND_HEARTBEAT, 3]);
});

test("an acknowledgement is not acknowledged, so two sides at rest say nothing", () => {
  const link = oneWay(ACK_AFTER_FRAMES, "a");
  expect(link.toClient.length).toBeGreaterThan(0);

  link.feedClient();

  expect([link.toServer.length, link.toClient.length]).toEqual([0, 0]);
});

test("an answer carries the acknowledgement, and none goes alone beside it", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  client.ask("a");
  link.collect();

  link.feedServer();
  const bytes = link.toClient;

  expect(decodeFrame(bytes)).toMatchObject({ seq: 1, recvSeq: 1, id: 1, flags: 1, body: bytesOf("a") });
});
