/*
 * A member in a process of its own that does what the test tells it, and tells each operation twice: before it begins and
 * when it was acknowledged. So whoever kills it knows what it had promised, and what it may have done besides.
 *
 * Under load it writes keys of its own under a cached lock, and counts up one key that all members count up together, which
 * takes the lock from the others each time; now and then it only reads that key.
 */
import { readSync } from "node:fs";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { type Dataset, HoldfastError, type Logger, openVolume } from "holdfast";
import { type Answer, COUNT_KEY, type MemberNews, type Order, OWN_KEYS } from "./member-protocol.ts";

/** Between two operations of one kind. */
const PAUSE_MS = 3;

/** After one that failed. */
const FAILED_PAUSE_MS = 50;

/** By its number: `process.stdin` would make it one that does not block. */
const STANDARD_INPUT = 0;

const [url = "", listen = "", name = ""] = process.argv.slice(2);
let isLost = false;
let isLoaded = false;
let loops: Promise<unknown> = Promise.resolve();
let operations = 0;
/** Writes of own keys, of all loads. */
let writes = 0;
// A parent that is gone needs nothing any more, not even while this one waits for others to join.
process.on("disconnect", () => process.exit(0));
const volume = await openVolume(url, {
  name,
  ...(process.env["HOLDFAST_LOG"] === undefined ? {} : { log: logTo(process.stderr) }),
  listen: listen === "" ? false : listen,
  onLost: (error) => {
    isLost = true;
    void tell({ type: "lost", code: codesOf(error) });
  },
});
const main = await volume.dataset();

process.on("message", (message) => {
  // The parent sends nothing but orders.
  const { id, order } = message as { readonly id: number; readonly order: Order };
  obey(order).then(
    (answer) => tell({ type: "answer", id, answer }),
    (error: unknown) => tell({ type: "refusal", id, code: codeOf(error) }),
  );
});
await tell({ type: "ready", rid: volume.rid.toString(16) });

async function obey(order: Order): Promise<Answer> {
  switch (order.kind) {
    case "report": {
      const { isServing, isConnected } = volume.report();
      return { isServing, isConnected };
    }
    case "members": {
      const { members } = await volume.status();
      return { members: members.map(({ rid }) => rid.toString(16)) };
    }
    case "load":
      if (isLoaded) return {};
      isLoaded = true;
      loops = Promise.all([repeat(writeOwn(main)), repeat(count(main)), repeat(look(main))]);
      return {};
    case "rest":
      isLoaded = false;
      await loops;
      return {};
    case "put":
      await write(order.key, async () => {
        await main.put(order.key, String(order.value));
        return order.value;
      });
      return {};
    case "read":
      return { value: await read(main, order.key) };
    case "create-dataset":
      await volume.createDataset(order.name);
      return {};
    case "block":
      return { blocked: await block() };
    case "close":
      isLoaded = false;
      await volume.close();
      setImmediate(() => process.exit(0));
      return {};
  }
}

/** Does one operation after the other until the load ends; one that fails was told by itself. */
async function repeat(next: () => Promise<unknown>): Promise<void> {
  for (;;) {
    if (!isLoaded || isLost) return;
    const isDone = await next().then(
      () => true,
      () => false,
    );
    await sleep(isDone ? PAUSE_MS : FAILED_PAUSE_MS);
  }
}

function writeOwn(dataset: Dataset): () => Promise<unknown> {
  return () => {
    writes += 1;
    const key = `${name}/${writes % OWN_KEYS}`;
    const value = Math.ceil(writes / OWN_KEYS);
    return write(key, async () => {
      await dataset.put(key, String(value));
      return value;
    });
  };
}

function count(dataset: Dataset): () => Promise<unknown> {
  return () =>
    write(COUNT_KEY, () =>
      dataset.transaction(async (transaction) => {
        const next = valueOf(await transaction.get(COUNT_KEY)) + 1;
        transaction.put(COUNT_KEY, String(next));
        return next;
      }),
    );
}

function look(dataset: Dataset): () => Promise<unknown> {
  return () => read(dataset, COUNT_KEY);
}

function read(dataset: Dataset, key: string): Promise<number> {
  return operate("read", key, async () => valueOf(await dataset.get(key)));
}

function write(key: string, run: () => Promise<number>): Promise<number> {
  return operate("write", key, run);
}

async function operate(kind: "read" | "write", key: string, run: () => Promise<number>): Promise<number> {
  operations += 1;
  const id = `${name}#${operations}`;
  // Told before anything is done, so that nothing is ever found on the volume that the judge has not heard of.
  await tell({ type: "began", id, kind, key, atMs: now() });
  try {
    const value = await run();
    void tell({ type: "ended", id, value, atMs: now() });
    return value;
  } catch (error) {
    void tell({ type: "failed", id, code: codeOf(error) });
    throw error;
  }
}

/** A synchronous read: no code runs here, while threads of the pool end their writes and the kernel serves the sockets. */
async function block(): Promise<NonNullable<Answer["blocked"]>> {
  const underWay = await requestsUnderWay();
  const fromMs = now();
  readSync(STANDARD_INPUT, new Uint8Array(1));
  return { fromMs, toMs: now(), underWay };
}

/** Requests to files that the pool's threads have, once there are any: under load that is soon. */
async function requestsUnderWay(): Promise<number> {
  for (;;) {
    const underWay = process.getActiveResourcesInfo().filter((name) => name === "FSReqCallback").length;
    if (underWay > 0) return underWay;
    await turn();
  }
}

function valueOf(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 0 : Number(Buffer.from(bytes).toString());
}

/** Resolves when the message has left this process. */
function tell(news: MemberNews): Promise<void> {
  return new Promise((resolve) => {
    // Fails only when the parent is gone; then this process ends.
    process.send?.(news, undefined, undefined, () => resolve());
  });
}

/** Lines of the member's log, for whoever looks into a failing test. */
function logTo(stream: NodeJS.WritableStream): Logger {
  const line = (facts: object, text?: string): void => {
    stream.write(`${now().toFixed(0)} ${name} ${text ?? ""} ${JSON.stringify(facts, plain)}\n`);
  };
  return { debug: () => undefined, info: line, warn: line, error: line };
}

function plain(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  return value instanceof Error ? { code: codeOf(value), message: value.message } : value;
}

/** The code of an error and of what caused it, since that says whose fault it was. */
function codesOf(error: Error): string {
  return error.cause instanceof Error ? `${codeOf(error)}, by ${codesOf(error.cause)}` : codeOf(error);
}

function codeOf(error: unknown): string {
  if (error instanceof HoldfastError) return String(error.code);
  // Not an operating error: what nobody foresaw is to be seen whole.
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** A time in milliseconds that all processes of this host share, and that never jumps. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
