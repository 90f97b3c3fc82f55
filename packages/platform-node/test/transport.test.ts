import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TransportFixture, settleByWaiting, transportSuite } from "@holdfast/conformance";
import type { ByteStream } from "@holdfast/environment";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNodeTransport, nodeTransport } from "../src/index.ts";

const malformedAddresses = [
  "",
  "nonsense",
  "http://127.0.0.1:80",
  "tcp://",
  "tcp://127.0.0.1",
  "tcp://127.0.0.1:99999",
  "tcp://127.0.0.1:80/path",
  "unix:",
  `unix:/${"x".repeat(200)}`,
];

transportSuite("TCP", async () => ({
  ...common,
  listenAddress: () => "tcp://127.0.0.1:0",
  deadAddress: `tcp://127.0.0.1:${await freePort()}`,
  dispose: async () => {},
}));

transportSuite("a Unix socket", async () => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-"));
  let count = 0;
  return {
    ...common,
    listenAddress: () => `unix:${join(directory, `${(count += 1)}.sock`)}`,
    deadAddress: `unix:${join(directory, "nobody.sock")}`,
    dispose: () => rm(directory, { recursive: true }),
  };
});

transportSuite("TLS with a key", async () => {
  const transport = createNodeTransport({ key: new Uint8Array(32).fill(3) });
  return {
    ...common,
    server: transport,
    client: transport,
    listenAddress: () => "tls://127.0.0.1:0",
    deadAddress: `tls://127.0.0.1:${await freePort()}`,
    dispose: async () => {},
  };
});

describe("TCP addresses", () => {
  test("a port of 0 is filled in with the one that was bound", async () => {
    const listener = await nodeTransport.listen("tcp://127.0.0.1:0", () => {});

    expect(listener.address).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d+$/);
    await listener.close();
  });

  test("an IPv6 address stands in brackets", async () => {
    const listener = await nodeTransport.listen("tcp://[::1]:0", () => {});
    const stream = await nodeTransport.dial(listener.address);

    expect(listener.address).toMatch(/^tcp:\/\/\[::1\]:\d+$/);
    expect(stream.peer).toBe(listener.address);
    stream.destroy();
    await listener.close();
  });

  test("an address of another host cannot be listened at", async () => {
    const listening = createNodeTransport({ key: new Uint8Array(32) }).listen("tls://192.0.2.1:0", () => {});

    await expect(listening).rejects.toMatchObject({ code: "ERR_HOLDFAST_LISTEN", category: "usage" });
  });
});

describe("Unix socket files", () => {
  let directory = "";

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "holdfast-"));
  });

  afterAll(() => rm(directory, { recursive: true }));

  test("the socket file that a killed process left behind is replaced", async () => {
    const path = join(directory, "dead.sock");
    await leaveDeadSocket(path);

    const listener = await nodeTransport.listen(`unix:${path}`, () => {});

    expect(listener.address).toBe(`unix:${path}`);
    await listener.close();
  });

  test("a file that is no socket is never removed", async () => {
    const path = join(directory, "precious");
    await writeFile(path, "data");

    const listening = nodeTransport.listen(`unix:${path}`, () => {});

    await expect(listening).rejects.toMatchObject({ code: "ERR_HOLDFAST_ADDRESS_IN_USE" });
  });
});

describe("writing", () => {
  test("the small writes of one turn arrive together", async () => {
    const parts: number[] = [];
    const { near, far, end } = await connectedPair();
    const done = new Promise<void>((resolve) => {
      far.start({ data: (bytes) => parts.push(bytes.length), closed: () => resolve(), drained() {} });
    });

    for (let message = 0; message < 500; message += 1) near.write(new Uint8Array(100));
    near.close();
    await done;

    expect(parts.reduce((sum, length) => sum + length, 0)).toBe(50_000);
    expect(parts.length).toBeLessThan(10);
    await end();
  });
});

describe("flushing", () => {
  test("what is flushed leaves in the middle of a turn, in order, whatever the turns before it wrote", async () => {
    const { near, far, end } = await connectedPair();
    const received = collect(far);
    const lengths = [10, 200, 100, 4000, 32, 3000, 32, 70_000, 5];

    for (const [index, length] of lengths.entries()) {
      near.write(new Uint8Array(length).fill(index));
      near.write(new Uint8Array(20).fill(index));
      expect(near.queuedBytes).toBeGreaterThan(0);
      near.flush?.();
      expect(near.queuedBytes).toBe(0);
      near.write(new Uint8Array(length).fill(index));
      if (index % 3 === 0) await new Promise(setImmediate);
    }
    near.close();

    const wanted = lengths.flatMap((length, index) => Array.from({ length: 2 * length + 20 }, () => index));
    expect(Buffer.from(wanted).equals(await received)).toBe(true);
    near.flush?.();
    await end();
  });
});

describe("writing parts", () => {
  test("they arrive in order between what was written before and after, and are told when the network has them", async () => {
    const { near, far, end } = await connectedPair();
    const received = collect(far);
    let writtenCount = 0;

    near.write(new Uint8Array(10).fill(1));
    const isTaken = near.writeParts?.(
      [new Uint8Array(3).fill(2), new Uint8Array(3_000_000).fill(3)],
      () => (writtenCount += 1),
    );
    near.write(new Uint8Array(10).fill(4));
    near.close();
    const bytes = await received;

    expect(bytes).toHaveLength(3_000_023);
    expect([bytes[9], bytes[10], bytes[13], bytes[3_000_012], bytes[3_000_013]]).toEqual([1, 2, 3, 3, 4]);
    expect(writtenCount).toBe(isTaken === true ? 0 : 1);
    await end();
  });

  test("what the network takes at once may be changed at once, and is not told", async () => {
    const { near, far, end } = await connectedPair();
    const received = collect(far);
    const part = new Uint8Array(1000).fill(1);
    let writtenCount = 0;

    expect(near.writeParts?.([part, part], () => (writtenCount += 1))).toBe(true);
    part.fill(2);
    near.close();

    expect(await received).toEqual(Buffer.alloc(2000, 1));
    expect(writtenCount).toBe(0);
    await end();
  });

  test("they are told once as well when the stream ends first, and not waited for when it has ended", async () => {
    const { near, far, end } = await connectedPair();
    const told: string[] = [];
    const during = new Promise<void>((resolve) => {
      near.writeParts?.([new Uint8Array(64 << 20)], () => {
        told.push("during");
        resolve();
      });
    });

    far.destroy();
    near.destroy();
    await during;

    expect(near.writeParts?.([new Uint8Array(1)], () => told.push("after"))).toBe(true);
    await new Promise(setImmediate);
    expect(told).toEqual(["during"]);
    await end();
  });
});

describe("memory shared by streams", () => {
  test("streams that write at the same time, and end in between, do not disturb each other's bytes", async () => {
    const pairs = await Promise.all(Array.from({ length: 8 }, () => connectedPair()));
    const received = pairs.map(({ far }) => collect(far));

    for (let round = 0; round < 30; round += 1) {
      for (const [index, { near }] of pairs.entries()) {
        if (index === 7 && round === 15) near.destroy();
        for (let part = 0; part < 40; part += 1)
          near.write(new Uint8Array(100 * index + 300).fill(16 * index + (round % 16)));
      }
      if (round % 3 === 0) await new Promise(setImmediate);
    }
    for (const { near } of pairs) near.close();
    const all = await Promise.all(received);

    for (const [index, bytes] of all.slice(0, 7).entries()) {
      const roundBytes = 40 * (100 * index + 300);
      expect(bytes).toHaveLength(30 * roundBytes);
      expect(bytes.every((value, at) => value === 16 * index + (Math.floor(at / roundBytes) % 16))).toBe(
        true,
      );
    }
    for (const { end } of pairs) await end();
  });

  test("both sides are given plain byte arrays, whole when a read is longer than the memory for reads", async () => {
    const { near, far, end } = await connectedPair(true);
    const lengthBytes = 1_000_003;
    const [atNear, atFar] = [collect(near, lengthBytes), collect(far, lengthBytes)];
    const sent = Uint8Array.from({ length: lengthBytes }, (_, index) => index % 251);

    near.write(sent);
    far.write(sent);

    expect(Buffer.compare(await atNear, sent)).toBe(0);
    expect(Buffer.compare(await atFar, sent)).toBe(0);
    near.close();
    await end();
  });
});

/** Everything that arrives until the stream ends, or until it is so much. */
function collect(stream: ByteStream, lengthBytes = Number.MAX_SAFE_INTEGER): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let missingBytes = lengthBytes;
  return new Promise((resolve) => {
    stream.start({
      data: (bytes) => {
        expect(bytes.constructor).toBe(Uint8Array);
        parts.push(bytes.slice());
        missingBytes -= bytes.length;
        if (missingBytes <= 0) resolve(Buffer.concat(parts));
      },
      closed: () => resolve(Buffer.concat(parts)),
      drained() {},
    });
  });
}

const common: Omit<TransportFixture, "listenAddress" | "deadAddress" | "dispose"> = {
  server: nodeTransport,
  client: nodeTransport,
  malformedAddresses,
  settle: settleByWaiting,
};

/** `isBare`: the dialled stream is not started yet. */
async function connectedPair(isBare = false): Promise<{
  near: ByteStream;
  far: ByteStream;
  readonly end: () => Promise<void>;
}> {
  let onAccept: (stream: ByteStream) => void = () => {};
  const accepted = new Promise<ByteStream>((resolve) => (onAccept = resolve));
  const listener = await nodeTransport.listen("tcp://127.0.0.1:0", (stream) => onAccept(stream));
  const near = await nodeTransport.dial(listener.address);
  if (!isBare) near.start({ data() {}, closed() {}, drained() {} });
  return { near, far: await accepted, end: () => listener.close() };
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const listener = await nodeTransport.listen("tcp://127.0.0.1:0", () => {});
  await listener.close();
  return Number(listener.address.split(":").at(-1));
}

/** Makes a socket file that nobody listens at: it is bound elsewhere and moved, so that closing does not find it. */
async function leaveDeadSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(`${path}.bound`, resolve);
  });
  await rename(`${path}.bound`, path);
  await new Promise((resolve) => {
    server.close(resolve);
  });
}
