import { connect as connectPlain, createServer, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type ByteStream, type Listener, SILENT_LOGGER, type Logger } from "@holdfast/environment";
import { afterEach, describe, expect, test } from "vitest";
import { type NodeTransport, createNodeTransport, nodeTransport } from "../src/index.ts";

const key = new Uint8Array(32).fill(5);
let end: () => Promise<void> = async () => {};

afterEach(() => end());

describe("TLS", () => {
  test("an accepted stream names the address of its other end, and both say that no byte can change", async () => {
    const { listener, accepted } = await secureListener();

    const near = await createNodeTransport({ key }).dial(listener.address);

    expect(near.peer).toBe(listener.address);
    expect([near.isAuthenticated, (await accepted).isAuthenticated]).toEqual([true, true]);
    expect((await accepted).peer).toMatch(/^tls:\/\/127\.0\.0\.1:\d+$/);
    near.destroy();
  });

  test("nothing that was written can be read on the way", async () => {
    const { port, accepted } = await secureListener();
    const { bytes, stop } = await eavesdrop(port, key, "a secret that is long enough to be found");

    (await accepted).destroy();
    stop();

    expect(Buffer.concat(bytes).includes("secret")).toBe(false);
    expect(Buffer.concat(bytes).length).toBeGreaterThan(100);
  });

  test("a record that was put in on the way ends the stream on the side that gets it", async () => {
    const record = Buffer.concat([Buffer.from([0x17, 3, 3, 0, 64]), Buffer.alloc(64, 5)]);

    for (const side of ["dialled", "accepted"] as const) {
      const { port, accepted } = await secureListener();
      const relay = await startRelay(port);
      const near = await createNodeTransport({ key }).dial(`tls://127.0.0.1:${relay.port}`);
      const ended = new Promise<Error | undefined>((resolve) => {
        near.start({ data() {}, closed: resolve, drained() {} });
      });
      await accepted;
      relay.inject(side, record);

      await expect(ended).resolves.toSatisfy((error) => side === "accepted" || error instanceof Error);
      relay.stop();
      await end();
    }
  });

  test("whoever has another key is refused, counted and logged", async () => {
    const { listener, transport, lines, acceptedCount } = await secureListener();

    const dialling = createNodeTransport({ key: new Uint8Array(32).fill(6) }).dial(listener.address);

    await expect(dialling).rejects.toMatchObject({ code: "ERR_HOLDFAST_DIAL", category: "retry" });
    await until(() => transport.stats().refusedHandshakesCount === 1);
    expect(lines).toMatchObject([{ event: "transport.handshake-refused", count: 1 }]);
    expect(acceptedCount()).toBe(0);
  });

  test("whoever names another identity is refused", async () => {
    const { port, transport, acceptedCount } = await secureListener();

    const outcome = await handshake(port, "somebody-else");

    expect(outcome).not.toBe("connected");
    await until(() => transport.stats().refusedHandshakesCount === 1);
    expect(acceptedCount()).toBe(0);
  });

  test("whoever speaks in the clear is refused", async () => {
    const { port, transport, acceptedCount } = await secureListener();
    const socket = connectPlain({ port, host: "127.0.0.1" });
    socket.on("error", () => {});

    socket.write("GET / HTTP/1.0\r\n\r\n");

    await until(() => transport.stats().refusedHandshakesCount === 1);
    expect(acceptedCount()).toBe(0);
    socket.destroy();
  });

  test("a thousand failures cost one line of the log", async () => {
    const { port, transport, lines } = await secureListener();

    for (let round = 0; round < 25; round += 1)
      await Promise.all(Array.from({ length: 40 }, () => sendGarbage(port)));

    await until(() => transport.stats().refusedHandshakesCount === 1000);
    expect(lines).toHaveLength(1);
  });

  test("strangers from one address who never finish are cut off above 64, and members get in all the same", async () => {
    const { port, transport, accepted, lines } = await secureListener();
    const silent = Array.from({ length: 80 }, () => {
      const socket = connectPlain({ port, host: "127.0.0.1" });
      socket.on("error", () => {});
      return socket;
    });

    await until(() => transport.stats().refusedHandshakesCount === 16);
    expect(lines).toMatchObject([{ reason: expect.stringContaining("more than 64 handshakes") }]);
    for (const socket of silent) socket.destroy();
    const near = await dialPatiently(`tls://127.0.0.1:${port}`);

    await accepted;
    near.destroy();
  });

  test("of strangers from everywhere who never finish, the oldest are cut off above 256", async () => {
    const { port, transport } = await secureListener();
    const closed: number[] = [];
    const silent = Array.from({ length: 300 }, (_, number) => {
      const localAddress = `127.0.0.${2 + (number % 6)}`;
      const socket = connectPlain({ port, host: "127.0.0.1", localAddress });
      socket.on("error", () => {});
      socket.on("close", () => closed.push(number));
      return socket.resume();
    });

    await until(() => transport.stats().refusedHandshakesCount >= 44 && closed.length >= 44);

    expect(closed.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 44 }, (_, i) => i));
    for (const socket of silent) socket.destroy();
  });

  test("a server that does not know the key is not believed", async () => {
    const transport = createNodeTransport({ key });
    const { listener } = await secureListener(new Uint8Array(32).fill(9));

    await expect(transport.dial(listener.address)).rejects.toMatchObject({ code: "ERR_HOLDFAST_DIAL" });
  });
});

describe("addresses that leave this host", () => {
  const insecure = { code: "ERR_HOLDFAST_ADDRESS_INSECURE", category: "usage" };

  test("in the clear they are neither dialled nor listened at, and the error says what to write", async () => {
    for (const address of ["tcp://192.0.2.1:7000", "tcp://0.0.0.0:7000", "tcp://[2001:db8::1]:7000"]) {
      const secured = address.replace("tcp:", "tls:");
      await expect(nodeTransport.dial(address)).rejects.toMatchObject(insecure);
      await expect(nodeTransport.listen(address, () => {})).rejects.toThrow(`write ${secured}`);
    }
  });

  test("a name is taken for another host, however it looks", async () => {
    for (const host of ["example.test", "127.1", "localhost.example.test", "2130706433"])
      await expect(nodeTransport.dial(`tcp://${host}:7000`)).rejects.toMatchObject(insecure);
  });

  test("TLS without a key is refused with a word about the key", async () => {
    await expect(nodeTransport.dial("tls://127.0.0.1:7000")).rejects.toMatchObject(insecure);
    await expect(nodeTransport.listen("tls://127.0.0.1:0", () => {})).rejects.toThrow("needs the key");
  });

  test("loopback addresses need no TLS", async () => {
    for (const address of [
      "tcp://localhost:0",
      "tcp://127.0.0.2:0",
      "tcp://[::1]:0",
      "tcp://[::ffff:127.0.0.1]:0",
    ]) {
      const listener = await nodeTransport.listen(address, (stream) => stream.destroy());
      const stream = await nodeTransport.dial(listener.address);
      expect(stream.peer).toBe(listener.address);
      stream.destroy();
      await listener.close();
    }
  });
});

async function secureListener(listenKey: Uint8Array = key): Promise<{
  readonly listener: Listener;
  readonly port: number;
  readonly transport: NodeTransport;
  readonly accepted: Promise<ByteStream>;
  readonly acceptedCount: () => number;
  readonly lines: object[];
}> {
  const lines: object[] = [];
  const log: Logger = { ...SILENT_LOGGER, warn: (facts) => lines.push(facts) };
  const transport = createNodeTransport({ key: listenKey, log });
  let acceptedCount = 0;
  let resolve: (stream: ByteStream) => void = () => {};
  const accepted = new Promise<ByteStream>((onAccepted) => (resolve = onAccepted));
  const listener = await transport.listen("tls://127.0.0.1:0", (stream) => {
    acceptedCount += 1;
    stream.start({ data() {}, closed() {}, drained() {} });
    resolve(stream);
  });
  end = () => listener.close();
  const port = Number(listener.address.split(":").at(-1));
  return { listener, port, transport, accepted, acceptedCount: () => acceptedCount, lines };
}

/** What happens to a client of OpenSSL that offers a key of its own under a name of its own. */
function handshake(port: number, identity: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTls({
      port,
      host: "127.0.0.1",
      minVersion: "TLSv1.3",
      ciphers: "TLS_AES_128_GCM_SHA256",
      pskCallback: () => ({ psk: Buffer.alloc(32, 1), identity }),
      checkServerIdentity: () => undefined,
    });
    socket.on("secureConnect", () => resolve("connected"));
    socket.on("error", (error) => resolve(error.message));
  });
}

/** Dials through a relay that keeps what passes. */
async function eavesdrop(
  port: number,
  ofKey: Uint8Array,
  text: string,
): Promise<{ readonly bytes: Buffer[]; readonly stop: () => void }> {
  const { port: relayPort, bytes, stop } = await startRelay(port);
  const stream = await createNodeTransport({ key: ofKey }).dial(`tls://127.0.0.1:${relayPort}`);
  const before = bytes.length;
  stream.start({ data() {}, closed() {}, drained() {} });
  stream.write(new TextEncoder().encode(text));
  await until(() => bytes.length > before);
  return { bytes, stop };
}

/** Somebody between the two sides, who sees everything and can put in what he likes. */
async function startRelay(port: number): Promise<{
  readonly port: number;
  readonly bytes: Buffer[];
  readonly inject: (toSide: "dialled" | "accepted", bytes: Buffer) => void;
  readonly stop: () => void;
}> {
  const bytes: Buffer[] = [];
  const ends: { dialled?: Socket; accepted?: Socket } = {};
  const server = createServer((near) => {
    const far = connectPlain({ port, host: "127.0.0.1" });
    ends.dialled = near;
    ends.accepted = far;
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.on("data", (part: Buffer) => {
        bytes.push(part);
        to.write(part);
      });
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    bytes,
    inject: (toSide, put) => void ends[toSide]?.write(put),
    stop: () => {
      ends.dialled?.destroy();
      ends.accepted?.destroy();
      server.close();
    },
  };
}

function sendGarbage(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectPlain({ port, host: "127.0.0.1" });
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.write(Buffer.alloc(600, 0x41));
    socket.resume();
  });
}

async function dialPatiently(address: string): Promise<ByteStream> {
  for (;;) {
    try {
      return await createNodeTransport({ key }).dial(address);
    } catch {
      await new Promise(setImmediate);
    }
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}
