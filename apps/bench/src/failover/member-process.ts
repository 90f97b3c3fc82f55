/*
 * A member that writes without pause when it is told to, and says when the first write after a fault was acknowledged.
 *
 * Four kinds of writes: under a lock it has cached; under a lock that nobody holds, which needs a server to grant it; under one
 * that the member that served had taken, which needs its eviction; and under one that another member had taken, which writes back
 * and has a server record it: that server must be able to commit.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Dataset, HoldfastError, openVolume, type Volume } from "holdfast";
import { say } from "../child.ts";

/** What the parent asks for. */
export type Order =
  | { readonly kind: "report" }
  /** Take the lock of a key, by writing it. */
  | { readonly kind: "hold"; readonly key: string }
  /** Begin to write. */
  | { readonly kind: "write" }
  /** A fault began and was complete at these times: say how long each kind of write had to wait. */
  | {
      readonly kind: "fault";
      readonly beganMs: number;
      readonly doneMs: number;
      /** Under the lock of the member that served. */
      readonly heldKey: string;
      /** Under the lock of another one. */
      readonly keptKey: string;
    }
  /** A member, by its rid in hexadecimal, has ended for certain. */
  | { readonly kind: "fence"; readonly rid: string }
  | { readonly kind: "close" };

/** Milliseconds from the fault's beginning to the first acknowledgement of a write that began when it was complete. */
export interface Waits {
  readonly cachedMs: number;
  readonly grantedMs: number;
  readonly heldMs: number;
  readonly keptMs: number;
}

/** Between two writes of one kind. */
const PAUSE_MS = 2;

/** Locks of one dataset: one for each first byte of a key. */
const LOCKS = 256;

/** Datasets whose locks nobody has asked for, for each fault. */
const DATASETS = 2;

const [url = "", listen = ""] = process.argv.slice(2);
// A parent that is gone needs no acknowledgements.
process.on("disconnect", () => process.exit(0));
const volume = await openVolume(url, { listen });
const main = await volume.dataset();
/** Datasets so far; their names are this process's, so that nobody else asks for their locks. */
let datasetsCount = 0;

/** Writes without pause, and what is known of their waits. */
interface Load {
  isOn: boolean;
  faultBeganMs: number;
  faultDoneMs: number;
  cachedMs: number | undefined;
  grantedMs: number | undefined;
}
let load: Load = idle();

process.on("message", (message) => {
  // The parent sends nothing but orders.
  obey(JSON.parse(String(message)) as Order).then(
    (answer) => say(JSON.stringify(answer)),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    },
  );
});
say(volume.rid.toString(16));

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case "report": {
      const { isServing, isConnected } = volume.report();
      return { isServing, isConnected, memberCount: (await volume.status()).members.length };
    }
    case "hold":
      await main.put(order.key, "held");
      return {};
    case "write":
      await beginWriting();
      return {};
    case "fault":
      return await waitsSince(order);
    case "fence":
      return await fence(BigInt(`0x${order.rid}`));
    case "close":
      return await close(volume);
  }
}

async function beginWriting(): Promise<void> {
  const fresh: Dataset[] = [];
  for (let count = 0; count < DATASETS; count += 1) {
    datasetsCount += 1;
    fresh.push(await volume.createDataset(`${volume.rid.toString(36)}.${datasetsCount}`));
  }
  let used = 0;
  load = { ...idle(), isOn: true };
  void keepWriting(load, "cachedMs", () => main.put("cached", "value"));
  void keepWriting(load, "grantedMs", async () => {
    const dataset = fresh[Math.floor(used / LOCKS)];
    // Only a wait that is measured already leaves time to use them all up.
    if (dataset === undefined && load.grantedMs === undefined) throw new Error("every new lock is used up");
    await dataset?.put(Uint8Array.of(used % LOCKS), "value");
    used += 1;
  });
}

async function keepWriting(
  during: Load,
  kind: "cachedMs" | "grantedMs",
  write: () => Promise<void>,
): Promise<void> {
  while (during.isOn) {
    const beganMs = now();
    await write();
    if (beganMs >= during.faultDoneMs) during[kind] ??= now() - during.faultBeganMs;
    await sleep(PAUSE_MS);
  }
}

async function waitsSince(order: Extract<Order, { kind: "fault" }>): Promise<Waits> {
  const { beganMs, doneMs } = order;
  load.faultBeganMs = beganMs;
  load.faultDoneMs = doneMs;
  const waitOf = async (key: string): Promise<number> => {
    await main.put(key, "value");
    return now() - beganMs;
  };
  const [heldMs, keptMs] = await Promise.all([waitOf(order.heldKey), waitOf(order.keptKey)]);
  for (;;) {
    const { cachedMs, grantedMs } = load;
    if (cachedMs !== undefined && grantedMs !== undefined) {
      load.isOn = false;
      return { cachedMs, grantedMs, heldMs, keptMs };
    }
    await sleep(PAUSE_MS);
  }
}

function idle(): Load {
  const never = Number.POSITIVE_INFINITY;
  return { isOn: false, faultBeganMs: never, faultDoneMs: never, cachedMs: undefined, grantedMs: undefined };
}

/** Without it each fault would leave a part of the volume in quarantine: who writes over a network gives no evidence of its own. */
async function fence(rid: bigint): Promise<object> {
  try {
    await volume.fence(rid, { isForced: true, operator: "the measurement" });
  } catch (error) {
    // It left in order, or its process was seen to be gone.
    if (!(error instanceof HoldfastError) || error.code !== "ERR_HOLDFAST_FENCE_UNKNOWN") throw error;
  }
  return {};
}

async function close(open: Volume): Promise<object> {
  await open.close();
  setImmediate(() => process.exit(0));
  return {};
}

/** A time that all processes of this host share. */
function now(): number {
  return performance.timeOrigin + performance.now();
}
