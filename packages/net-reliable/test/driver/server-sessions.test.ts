import type { ByteStream } from "@holdfast/environment";
import { expect, test } from "vitest";
import { REFUSAL } from "../../src/index.ts";
import { World, bytesOf, text, timing } from "./rig.ts";

async function stranger(
  world: World,
  address: string,
  bytes?: Uint8Array,
): Promise<{ isCut: boolean; stream: ByteStream }> {
  const stream = await world.network.dial(address);
  const state = { isCut: false, stream };
  stream.start({
    data: () => {},
    closed: () => {
      state.isCut = true;
    },
    drained: () => {},
  });
  if (bytes !== undefined) stream.write(bytes);
  return state;
}

test("the server calls its members, and hears of it when they are not there", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  const answers: string[] = [];

  server.sessions.call(5n, 8, bytesOf("invalidate"), (error, body) => answers.push(`${error} ${text(body)}`));
  server.sessions.call(6n, 8, bytesOf("nobody"), (error) => answers.push(`0x${error.toString(16)}`));
  expect(answers).toEqual([]);
  await world.clock.advance(20);

  expect(answers).toEqual(["0xff03", "0 invalidate"]);
  expect(client.log).toEqual(["met 1", "asked 8 invalidate"]);
});

test("garbage is cut off and counted, and members do not notice", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);

  const garbage = await stranger(world, server.sessions.address, new Uint8Array(1000).fill(71));
  client.ask("a");
  await world.clock.advance(20);

  expect(garbage.isCut).toBe(true);
  expect(server.sessions.stats().cutMalformedCount).toBe(1);
  expect(client.log).toEqual(["met 1", "a→a"]);
});

test("N20: slow greeters are cut off and counted, and are nobody's peers", async () => {
  const world = new World();
  const server = await world.server(1n);
  const slow = await Promise.all(
    [1, 2, 3].map(() => stranger(world, server.sessions.address, new Uint8Array(1))),
  );

  await world.clock.advance(timing.greetingTimeoutMs + timing.heartbeatMs + 10);

  expect(slow.every(({ isCut }) => isCut)).toBe(true);
  expect(server.sessions.stats().ended["slow-greeter"]).toBe(3);
  expect(server.sessions.stats().greetingCount).toBe(0);
  expect(server.log).toEqual([]);
});

test("an evicted member is cut off, is told of as disconnected, and refused when it comes back", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);

  server.sessions.evict(5n);
  await world.clock.advance(200);

  expect(client.log).toEqual(["met 1", "disconnected", `refused 0x${REFUSAL.EVICTED.toString(16)}`]);
  expect(server.log).toEqual(["up 5", "down 5"]);
});

test("a farewell's answer goes out before the forgotten member's connection closes", async () => {
  const world = new World();
  const server = await world.server(1n);
  server.isEcho = false;
  const client = world.client();
  await world.clock.advance(20);

  const farewell = client.session.farewell(bytesOf("bye"));
  await world.clock.advance(20);
  server.owed[0]?.(0, bytesOf("farewell"));
  server.sessions.forget(5n);
  await world.clock.advance(20);
  await farewell;

  expect(server.sessions.stats()).toMatchObject({ sessionsCount: 0, ended: { forgotten: 1 } });
  expect(server.log).toEqual(["up 5", "down 5"]);
});

test("N25: a member that stays away expires once, and its session is still there", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);

  world.serverAddress = undefined;
  world.network.cut();
  await world.clock.advance(timing.forgetMs + 1000);
  expect(server.log).toEqual(["up 5", "down 5", "expired 5"]);
  world.serverAddress = server.sessions.address;
  client.ask("a");
  await world.clock.advance(1000);

  expect(client.log).toEqual(["met 1", "disconnected", "a→a"]);
});

test("closing a server aborts its calls to members, and nobody is told of peers any more", async () => {
  const world = new World();
  const server = await world.server(1n);
  const client = world.client();
  await world.clock.advance(20);
  world.network.isSilent = true;
  const errors: number[] = [];
  server.sessions.call(5n, 8, bytesOf("a"), (error) => errors.push(error));

  await server.sessions.close();
  await server.sessions.close();
  await world.clock.advance(100);

  expect(errors).toEqual([0xff01]);
  expect(server.log).toEqual(["up 5"]);
  client.session.close();
});

test("two servers cannot listen at one address", async () => {
  const world = new World();
  await world.server(1n);

  await expect(world.server(1n)).rejects.toMatchObject({ code: "ERR_HOLDFAST_ADDRESS_IN_USE" });
});
