import { spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { MessageChannel, Worker } from "node:worker_threads";
import { settleByWaiting, transportSuite } from "@holdfast/conformance";
import { type ByteStream, utf8 } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { Switchboard, messagePortStream, pipeStream } from "../src/index.ts";

transportSuite("a MessagePort", () =>
  switchboardFixture(() => {
    const { port1, port2 } = new MessageChannel();
    return { near: messagePortStream(port1, "thread 1"), far: messagePortStream(port2, "thread 2") };
  }),
);

transportSuite("a pair of pipes", () =>
  switchboardFixture(() => {
    const [one, two] = duplexPair();
    return {
      near: pipeStream({ readable: one, writable: one, peer: "two" }),
      far: pipeStream({ readable: two, writable: two, peer: "one" }),
    };
  }),
);

describe("a child's standard streams", () => {
  const echo = `
    process.stdin.on("data", (bytes) => process.stdout.write(bytes));
    process.stdin.on("end", () => process.stdout.end());
  `;

  test("bytes go to the child and back, and closing lets it end", async () => {
    const child = spawn(process.execPath, ["-e", echo], { stdio: ["pipe", "pipe", "inherit"] });
    const stream = pipeStream({ readable: child.stdout, writable: child.stdin, peer: "the child" });
    const exited = new Promise((resolve) => child.on("exit", resolve));
    const received = collect(stream, 11);

    stream.write(utf8.encode("hello "));
    stream.write(utf8.encode("child"));

    expect(utf8.decode(await received.bytes)).toBe("hello child");
    stream.close();
    await received.closed;
    expect(await exited).toBe(0);
  });

  test("a child that is killed ends the stream", async () => {
    const child = spawn(process.execPath, ["-e", echo], { stdio: ["pipe", "pipe", "inherit"] });
    const stream = pipeStream({ readable: child.stdout, writable: child.stdin, peer: "the child" });
    const received = collect(stream, 1);

    child.kill("SIGKILL");

    await received.closed;
    expect(stream.write(new Uint8Array(1))).toBe(false);
  });
});

describe("a worker's port", () => {
  const echo = `
    const { workerData, parentPort } = require("node:worker_threads");
    workerData.port.on("message", (message) => {
      if (!(message instanceof Uint8Array)) return;
      workerData.port.postMessage(message.length);
      workerData.port.postMessage(message);
    });
  `;

  test("a worker that is terminated ends the stream", async () => {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(echo, { eval: true, workerData: { port: port2 }, transferList: [port2] });
    const stream = messagePortStream(port1, "the worker");
    const received = collect(stream, 3);
    stream.write(new Uint8Array([1, 2, 3]));

    expect([...(await received.bytes)]).toEqual([1, 2, 3]);
    await worker.terminate();

    await received.closed;
  });

  test("messages that are no part of a stream end it with an error", async () => {
    const { port1, port2 } = new MessageChannel();
    const stream = messagePortStream(port1, "a stranger");
    const received = collect(stream, 1);

    port2.postMessage({ hello: "world" });

    expect((await received.closed)?.message).toContain("a stranger");
  });
});

describe("a switchboard", () => {
  test("a stream offered where nobody listens is destroyed", async () => {
    const { port1, port2 } = new MessageChannel();
    const { closed } = collect(messagePortStream(port1, "far"), 1);

    const isTaken = new Switchboard().offer("stream:nobody", messagePortStream(port2, "near"));

    expect(isTaken).toBe(false);
    await closed;
  });

  test("without a way to connect, nobody dials", async () => {
    const dialling = new Switchboard().dial("stream:somebody");

    await expect(dialling).rejects.toMatchObject({ code: "ERR_HOLDFAST_DIAL" });
  });
});

function switchboardFixture(makePair: () => { near: ByteStream; far: ByteStream }) {
  let count = 0;
  const switchboard: Switchboard = new Switchboard(async (address) => {
    const { near, far } = makePair();
    if (!switchboard.offer(address, far)) throw new Error("nobody listens there");
    return near;
  });
  return {
    server: switchboard,
    client: switchboard,
    listenAddress: () => `stream:test-${(count += 1)}`,
    deadAddress: "stream:nobody",
    malformedAddresses: ["", "stream:", "tcp://127.0.0.1:1", "stream:a b"],
    settle: settleByWaiting,
    dispose: async () => {},
  };
}

/** Two ends of a pipe within this process, as `stream.duplexPair` of later versions makes it. */
function duplexPair(): [Duplex, Duplex] {
  const one: End = new End(() => two);
  const two: End = new End(() => one);
  return [one, two];
}

class End extends Duplex {
  readonly #other: () => End;
  #goOn: (() => void) | undefined;

  constructor(other: () => End) {
    super({ allowHalfOpen: true });
    this.#other = other;
  }

  override _read(): void {
    const goOn = this.#goOn;
    this.#goOn = undefined;
    goOn?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const other = this.#other();
    if (other.destroyed) done();
    else {
      other.#goOn = done;
      other.push(chunk);
    }
  }

  override _final(done: () => void): void {
    this.#other().push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const other = this.#other();
    if (!other.destroyed) process.nextTick(() => other.destroy());
    done(error);
  }
}

function collect(
  stream: ByteStream,
  lengthBytes: number,
): { readonly bytes: Promise<Uint8Array>; readonly closed: Promise<Error | undefined> } {
  const parts: Uint8Array[] = [];
  let resolveBytes: (bytes: Uint8Array) => void = () => {};
  const bytes = new Promise<Uint8Array>((resolve) => (resolveBytes = resolve));
  const closed = new Promise<Error | undefined>((resolve) => {
    stream.start({
      data: (part) => {
        parts.push(part.slice());
        const all = Buffer.concat(parts);
        if (all.length >= lengthBytes) resolveBytes(new Uint8Array(all));
      },
      closed: resolve,
      drained() {},
    });
  });
  return { bytes, closed };
}
