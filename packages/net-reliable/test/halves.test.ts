import { expect, test } from "vitest";
import { Client, Link, Server } from "./rig.ts";

const BODY = "x".repeat(100);

/** What waits each time a side is told to send early, while it takes so many requests, or their answers, in one read. */
function sentEarly(requestsCount: number): { readonly byServer: number[]; readonly byClient: number[] } {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  const early = { byServer: [] as number[], byClient: [] as number[] };
  const ask = (): void => void client.machine.call(1, new Uint8Array(BODY.length), ask);
  for (let number = 0; number < requestsCount; number += 1) ask();
  link.collect();
  server.outputEarly = () => {
    link.collect();
    early.byServer.push(link.toClient.length);
  };
  client.outputEarly = () => {
    link.collect();
    early.byClient.push(link.toServer.length);
  };
  link.feedServer();
  link.feedClient();
  expect([server.asked.length, link.toServer.length >= requestsCount * 116]).toEqual([requestsCount, true]);
  return early;
}

test("a read of some dozens of requests is answered in two halves, so that the other side need not wait for all", () => {
  const { byServer, byClient } = sentEarly(64);
  const halfBytes = 32 + (64 / 2) * 116;

  expect(byServer).toEqual([halfBytes + 116]);
  expect(byClient).toEqual([halfBytes + 116]);
});

test("a short read is answered at once: half of it would not be worth another system call", () => {
  expect(sentEarly(32)).toEqual({ byServer: [], byClient: [] });
});

test("a long read is answered at once: who sends so much has enough to do", () => {
  expect(sentEarly(1024)).toEqual({ byServer: [], byClient: [] });
});
