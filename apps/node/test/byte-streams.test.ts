/*
 * Byte streams over each transport of Node.js.
 */
import { createHash } from "node:crypto";
import { MessageChannel } from "node:worker_threads";
import type { Transport } from "@holdfast/environment";
import { startClientStreams, startServerStreams, type StreamPorts } from "@holdfast/net-reliable";
import {
  createNodeTransport,
  messagePortStream,
  nodeClock,
  nodeCryptography,
  nodeRandom,
  Switchboard,
} from "@holdfast/platform-node";
import { expect, test } from "vitest";
import { useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();
const identity = { key: new Uint8Array(32).fill(4) };
/** More than a window, and a length that fits nothing. */
const STREAM_BYTES = 9_000_001;

const transports: readonly (readonly [string, () => { transport: Transport; address: string }])[] = [
  ["TCP", () => ({ transport: createNodeTransport(), address: "tcp://127.0.0.1:0" })],
  [
    "a Unix socket",
    () => ({ transport: createNodeTransport(), address: `unix:${place.path("streams.sock")}` }),
  ],
  ["TLS", () => ({ transport: createNodeTransport({ key: identity.key }), address: "tls://127.0.0.2:0" })],
  ["a MessagePort", () => ({ transport: portSwitchboard(), address: "stream:bulk" })],
];

test.each(transports)("over %s streams come whole in both directions at once", async (_, make) => {
  const { transport, address } = make();
  const ports: StreamPorts = {
    transport,
    clock: nodeClock,
    random: nodeRandom,
    cryptography: nodeCryptography,
  };
  const server = await startServerStreams(
    {
      identity,
      term: 1n,
      listenAddress: address,
      handle: async ({ stream }) => ({ body: new Uint8Array([1]), stream }),
    },
    ports,
  );
  const client = startClientStreams(
    { identity, session: { rid: 1n, term: 1n }, findServer: async () => server.address },
    ports,
  );
  const sent = createHash("sha256");
  async function* source(): AsyncGenerator<Uint8Array> {
    for (let offset = 0, turn = 0; offset < STREAM_BYTES; turn += 1) {
      const piece = new Uint8Array(Math.min(1 + 77_777 * (turn % 40), STREAM_BYTES - offset)).fill(turn);
      sent.update(piece);
      yield piece;
      offset += piece.length;
    }
  }

  const { stream } = await client.request(1, new Uint8Array(0), { source: source() });
  const received = createHash("sha256");
  let bytes = 0;
  for await (const piece of stream) {
    received.update(piece);
    bytes += piece.length;
  }

  expect(bytes).toBe(STREAM_BYTES);
  expect(received.digest("hex")).toBe(sent.digest("hex"));
  client.close();
  await server.close();
});

/** Whoever dials is given one end of a channel, whoever listens the other. */
function portSwitchboard(): Transport {
  const switchboard: Switchboard = new Switchboard(async (address) => {
    const { port1, port2 } = new MessageChannel();
    if (!switchboard.offer(address, messagePortStream(port2, "who dials"))) throw new Error("nobody listens");
    return messagePortStream(port1, address);
  });
  return switchboard;
}
