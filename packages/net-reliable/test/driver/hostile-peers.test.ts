/*
 * What both sides count and log of peers that do not keep to the protocol.
 */
import type { ByteStream, Logger, Transport } from "@holdfast/environment";
import { decodeFrame, encodeFrame, xxhash32 } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  CHALLENGE_FRAME_BYTES,
  GREETING_PER_ADDRESS_MAX,
  startClientSession,
  startServerSessions,
} from "../../src/index.ts";
import { World, bytesOf, identity, timing } from "./rig.ts";

const nothing = { data: () => {}, closed: () => {}, drained: () => {} };
const welcome = { seq: 0, recvSeq: 0, id: 0, command: 0xff03, error: 0, flags: 0 };

async function dialler(world: World, address: string): Promise<ByteStream> {
  const stream = await world.network.dial(address);
  stream.start(nothing);
  return stream;
}

function collectingLog(lines: object[]): Logger {
  return { debug: () => {}, info: () => {}, warn: (facts) => lines.push(facts), error: () => {} };
}

test("a server counts what it cuts off by reason, and refusals by name", async () => {
  const world = new World();
  const server = await world.server(1n);
  const { address } = server.sessions;

  (await dialler(world, address)).write(new Uint8Array(200).fill(7));
  (await dialler(world, address)).write(encodeFrame(welcome, bytesOf("no greeting")));
  (await dialler(world, address)).write(Uint8Array.of(1));
  const stranger = startClientSession(
    { identity: { ...identity, key: new Uint8Array(32) }, address },
    world.ports,
  );
  await world.clock.advance(15);
  stranger.close();
  await world.clock.advance(timing.greetingTimeoutMs + 200);

  const stats = server.sessions.stats();
  expect(stats.cut).toMatchObject({ garbage: 1, greeting: 1, oversize: 0, sequence: 0 });
  expect(stats.cutMalformedCount).toBe(2);
  expect(stats.refused).toEqual({ BAD_PROOF: 1 });
  expect(stats.ended["slow-greeter"]).toBe(1);
  expect(stats.sessionsCount).toBe(0);
});

test("a member counts what it cuts off by reason", async () => {
  const world = new World();
  const answers = [new Uint8Array(200).fill(7), encodeFrame(welcome, new Uint8Array(300))];
  await world.network.listen("memory:bad", (stream) => {
    stream.start(nothing);
    stream.write(answers.shift() ?? new Uint8Array(0));
  });
  const session = startClientSession({ identity, address: "memory:bad" }, world.ports);

  await world.clock.advance(200);

  expect(session.stats().cut).toMatchObject({ garbage: 1, greeting: 1 });
  expect(session.stats().cutMalformedCount).toBe(2);
  session.close();
});

test("a frame longer than any is cut off at its header and counted, before the greeting and after, on either side", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  (await dialler(world, server.sessions.address)).write(announcing(0xffff_ffff));
  await world.clock.advance(20);
  expect(server.sessions.stats().cut.oversize).toBe(1);

  const [near] = world.network.streams;
  near?.write(announcing(2 ** 20 + 17));
  await world.clock.advance(500);
  expect(server.sessions.stats().cut.oversize).toBe(2);
  expect(client.session.isConnected).toBe(true);

  const [, far] = world.network.streams;
  far?.write(announcing(0x8000_0000));
  await world.clock.advance(500);
  expect(client.session.stats().cut.oversize).toBe(1);
  client.ask("a");
  await world.clock.advance(100);
  expect(server.asked).toEqual(["5/1 a"]);
  expect(client.log.at(-1)).toBe("a→a");
});

test("frames that are sent once more are cut off and counted on either side, and the session lives", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  for (const stream of world.network.streams) sendTwice(stream);

  client.ask("a");
  await world.clock.advance(500);

  expect(client.log).toEqual(["met 1", "a→a", "disconnected"]);
  expect(client.session.isConnected).toBe(true);
  expect(server.asked).toEqual(["5/1 a"]);
  expect(server.sessions.stats().cut.sequence).toBe(1);
});

test("who floods with refusals fills no log: the rest is counted and said with the next warning", async () => {
  const world = new World();
  const lines: object[] = [];
  const sessions = await startServerSessions(
    { identity, listenAddress: "memory:1" },
    world.portsWith({ log: collectingLog(lines) }),
  );
  const key = new Uint8Array(32);
  const flood = async (count: number): Promise<void> => {
    for (let number = 0; number < count; number += 1) {
      const session = startClientSession({ identity: { key }, address: sessions.address }, world.ports);
      await world.clock.advance(10);
      session.close();
    }
  };

  await flood(100);
  expect(lines).toHaveLength(20);
  expect(sessions.stats().refusedCount).toBe(100);
  await world.clock.advance(60_000);
  await flood(1);

  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toMatchObject({ event: "session.refused", leftOutCount: 80 });
  await sessions.close();
});

test("connections that do not greet crowd out those of their own address only", async () => {
  const world = new World();
  const transport = addressed(world);
  const sessions = await startServerSessions(
    { identity, listenAddress: "memory:1" },
    world.portsWith({ transport }),
  );
  transport.peer = "tcp://10.0.0.1:40000";
  await dialler(world, sessions.address);
  for (let port = 1; port <= GREETING_PER_ADDRESS_MAX + 10; port += 1) {
    transport.peer = `tcp://[fd00::9]:${port}`;
    await dialler(world, sessions.address);
  }

  expect(sessions.stats().ended.crowded).toBe(10);
  expect(sessions.stats().greetingCount).toBe(GREETING_PER_ADDRESS_MAX + 1);
  await sessions.close();
});

test("a server's first word is its challenge alone, whatever it is asked", async () => {
  const world = new World();
  const server = await world.server(1n);
  const stream = await world.network.dial(server.sessions.address);
  const chunks: Uint8Array[] = [];
  stream.start({ ...nothing, data: (bytes) => chunks.push(bytes.slice()) });

  await world.clock.advance(100);

  expect(chunks.map((chunk) => [chunk.length, decodeFrame(chunk).command])).toEqual([
    [CHALLENGE_FRAME_BYTES, 0xff01],
  ]);
  stream.close();
});

/** Whatever is written in one turn arrives twice from here on. */
function sendTwice(stream: ByteStream): void {
  const write = stream.write.bind(stream);
  let turn: number[] = [];
  stream.write = (bytes) => {
    if (turn.length === 0)
      queueMicrotask(() => {
        const all = Uint8Array.from(turn);
        turn = [];
        write(all);
        write(all);
      });
    turn.push(...bytes);
    return true;
  };
}

/** The network of the world, with diallers that say where they come from. */
function addressed(world: World): Transport & { peer: string } {
  const transport = {
    peer: "",
    dial: (address: string) => world.network.dial(address),
    listen: (address: string, accept: (stream: ByteStream) => void) =>
      world.network.listen(address, (stream) => {
        const { peer } = transport;
        accept(
          new Proxy(stream, {
            get: (target, name) => {
              if (name === "peer") return peer;
              const value: unknown = Reflect.get(target, name);
              return typeof value === "function" ? value.bind(target) : value;
            },
          }),
        );
      }),
  };
  return transport;
}

/** The header of a frame of so many bytes, its checksum right. */
function announcing(bytes: number): Uint8Array {
  const frame = encodeFrame(welcome, new Uint8Array(0));
  const view = new DataView(frame.buffer, frame.byteOffset);
  view.setUint32(4, bytes, true);
  view.setUint32(0, xxhash32(view, 4, 32), true);
  return frame;
}
