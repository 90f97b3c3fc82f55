/*
 * Byte streams beside the requests of their session, over each transport of Node.js.
 */
import { createHash } from "node:crypto";
import { MessageChannel } from "node:worker_threads";
import type { ByteStream, Transport } from "@holdfast/environment";
import {
  type ServerSessions,
  type SessionPorts,
  startClientSession,
  startServerSessions,
  type StreamHandler,
} from "@holdfast/net-reliable";
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

test.each(transports)(
  "over %s streams come whole in both directions at once, beside requests to the same address",
  async (_, make) => {
    const { ports, server } = await serve(make(), async ({ stream }) => ({
      body: new Uint8Array([1]),
      stream,
    }));
    const session = startClientSession({ identity, address: server.address }, ports);
    const sent = createHash("sha256");
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let offset = 0, turn = 0; offset < STREAM_BYTES; turn += 1) {
        const piece = new Uint8Array(Math.min(1 + 77_777 * (turn % 40), STREAM_BYTES - offset)).fill(turn);
        sent.update(piece);
        yield piece;
        offset += piece.length;
      }
    }

    const { stream } = await session.requestStream(1, new Uint8Array(0), { source: source() });
    const received = createHash("sha256");
    let bytes = 0;
    const answers: number[] = [];
    for await (const piece of stream) {
      received.update(piece);
      bytes += piece.length;
      if (answers.length < 10) answers.push(...(await session.request(1, Uint8Array.of(7))));
    }

    expect(bytes).toBe(STREAM_BYTES);
    expect(answers).toEqual(Array.from({ length: 10 }, () => 7));
    expect(received.digest("hex")).toBe(sent.digest("hex"));
    expect(session.stats()).toMatchObject({
      greetedCount: 1,
      cutSilentCount: 0,
      streams: { completedCount: 1 },
    });
    session.close();
    await server.close();
  },
);

test.each(transports)(
  "over %s a stream that is cut in the middle is an error on both sides, and the session goes on",
  async (_, make) => {
    const ended: Promise<unknown>[] = [];
    const { ports, server } = await serve(make(), async ({ signal }) => {
      ended.push(new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason))));
      return { body: new Uint8Array(0), stream: endless() };
    });
    const { transport } = ports;
    const dialled: ByteStream[] = [];
    const dial: Transport["dial"] = async (to, signal) => {
      const stream = await transport.dial(to, signal);
      dialled.push(stream);
      return stream;
    };
    const listen = transport.listen.bind(transport);
    const session = startClientSession(
      { identity, address: server.address },
      { ...ports, transport: { dial, listen } },
    );
    const { stream } = await session.requestStream(1, new Uint8Array(0));
    await stream.next();

    dialled[1]?.destroy();

    const reading = (async () => {
      for await (const piece of stream) expect(piece.length).toBeGreaterThan(0);
    })();
    await expect(reading).rejects.toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT" });
    expect(await ended[0]).toMatchObject({ code: "ERR_HOLDFAST_STREAM_CUT" });
    expect([...(await session.request(1, Uint8Array.of(7)))]).toEqual([7]);
    expect(session.stats().greetedCount).toBe(1);
    session.close();
    await server.close();
  },
);

/** A server that echoes requests, and the ports it runs on. */
async function serve(
  { transport, address }: { readonly transport: Transport; readonly address: string },
  handleStream: StreamHandler,
): Promise<{ readonly ports: SessionPorts; readonly server: ServerSessions }> {
  const ports = { transport, clock: nodeClock, random: nodeRandom, cryptography: nodeCryptography };
  const server = await startServerSessions(
    {
      identity,
      listenAddress: address,
      handle: (_rid, _command, body, respond) => respond(0, body),
      handleStream,
    },
    ports,
  );
  return { ports, server };
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield new Uint8Array(10_000);
}

/** Whoever dials is given one end of a channel, whoever listens the other. */
function portSwitchboard(): Transport {
  const switchboard: Switchboard = new Switchboard(async (address) => {
    const { port1, port2 } = new MessageChannel();
    if (!switchboard.offer(address, messagePortStream(port2, "who dials"))) throw new Error("nobody listens");
    return messagePortStream(port1, address);
  });
  return switchboard;
}
