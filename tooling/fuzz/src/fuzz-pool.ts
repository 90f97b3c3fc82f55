import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Finding, Verdicts } from "./fuzz-run.ts";

/** An input that takes longer than this hangs: the slowest parser needs milliseconds, a busy machine some more. */
const HANG_MS = 20_000;

/** Growth of what a worker holds beyond which its code keeps its inputs. */
const GROWTH_BYTES_MAX: number = 48 * 1024 * 1024;

/** A worker's share: the inputs first, first + step … below count. */
export interface WorkerOrder {
  readonly seed: number;
  readonly first: number;
  readonly step: number;
  readonly count: number;
  readonly targetName: string | undefined;
}

/** What a worker says now and then. */
export interface Progress {
  /** The input it feeds next. */
  readonly next: number;
  /** What it holds after a full collection, if it looked. */
  readonly heapBytes: number | undefined;
  /** Verdicts since the last report. */
  readonly verdicts: readonly (readonly [string, { readonly accepted: number; readonly refused: number }])[];
  readonly finding: Finding | undefined;
  readonly isDone: boolean;
}

/** What a run came to. */
export interface FuzzResult {
  readonly inputCount: number;
  readonly verdicts: Verdicts;
  readonly findings: readonly (Finding | string)[];
  /** The most that any worker's memory grew over its run, bytes. */
  readonly growthBytes: number;
}

/** What a run is made of. */
export interface FuzzRunOptions {
  readonly seed: number;
  readonly firstInput: number;
  readonly inputCount: number;
  readonly jobCount: number;
  readonly targetName: string | undefined;
  readonly onProgress: (inputCount: number) => void;
  /** The module a worker runs; another one only to test the pool. */
  readonly workerPath?: string;
  readonly hangMs?: number;
  readonly growthBytesMax?: number;
}

/** Feeds a run in several processes; ends at the first finding of each. */
export async function fuzz(options: FuzzRunOptions): Promise<FuzzResult> {
  const tally = new FuzzTally(options.onProgress);
  const jobs = Array.from({ length: options.jobCount }, (_, job) => runWorker(options, job, tally));
  await Promise.all(jobs);
  return tally.result();
}

class FuzzTally {
  readonly #onProgress: (inputCount: number) => void;
  readonly #verdicts: Verdicts = new Map();
  readonly #findings: (Finding | string)[] = [];
  #inputCount = 0;
  #growthBytes = 0;

  constructor(onProgress: (inputCount: number) => void) {
    this.#onProgress = onProgress;
  }

  add({ verdicts, finding }: Progress): void {
    for (const [name, { accepted, refused }] of verdicts) {
      const counts = this.#verdicts.get(name) ?? { accepted: 0, refused: 0 };
      this.#verdicts.set(name, { accepted: counts.accepted + accepted, refused: counts.refused + refused });
      this.#inputCount += accepted + refused;
    }
    if (finding !== undefined) this.#findings.push(finding);
    this.#onProgress(this.#inputCount);
  }

  grown(bytes: number): void {
    this.#growthBytes = Math.max(this.#growthBytes, bytes);
  }

  found(what: string): void {
    this.#findings.push(what);
  }

  result(): FuzzResult {
    const names = [...this.#verdicts].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return {
      inputCount: this.#inputCount,
      verdicts: new Map(names),
      findings: this.#findings,
      growthBytes: this.#growthBytes,
    };
  }
}

async function runWorker(options: FuzzRunOptions, job: number, tally: FuzzTally): Promise<void> {
  const { seed, firstInput, inputCount, jobCount, targetName, hangMs = HANG_MS } = options;
  const { growthBytesMax = GROWTH_BYTES_MAX } = options;
  const workerPath = options.workerPath ?? fileURLToPath(new URL("fuzz-worker.js", import.meta.url));
  const worker = fork(workerPath, { serialization: "advanced", execArgv: ["--expose-gc"] });
  const count = firstInput + inputCount;
  const order: WorkerOrder = { seed, first: firstInput + job, step: jobCount, count, targetName };
  let [next, isDone] = [order.first, false];
  /** The second reading is the floor: by then everything is compiled and each cache is as full as it gets. */
  const readings: number[] = [];
  const watchdog = new Watchdog(worker, hangMs, () =>
    tally.found(`input ${next} or one of the next of worker ${job} hangs`),
  );
  worker.on("message", (message) => {
    // The other end of this channel is fuzz-worker.ts, which sends nothing else.
    const progress = message as Progress;
    watchdog.fed();
    next = progress.next;
    ({ isDone } = progress);
    tally.add(progress);
    if (progress.heapBytes === undefined) return;
    readings.push(progress.heapBytes);
    const growthBytes = progress.heapBytes - (readings[1] ?? progress.heapBytes);
    tally.grown(growthBytes);
    if (growthBytes <= growthBytesMax) return;
    tally.found(`worker ${job} holds ${growthBytes} bytes more than at its start, before input ${next}`);
    isDone = true;
    worker.kill("SIGKILL");
  });
  worker.send(order);
  await new Promise<void>((resolve) => {
    worker.once("exit", (code, signal) => {
      if (!isDone && !watchdog.hasBarked)
        tally.found(`worker ${job} died (${signal ?? code}) at input ${next} or one of the next`);
      resolve();
    });
  });
  watchdog.end();
}

/** Kills a worker that says nothing for too long. */
class Watchdog {
  readonly #worker: ChildProcess;
  readonly #hangMs: number;
  readonly #onHang: () => void;
  #timer: NodeJS.Timeout;
  hasBarked = false;

  constructor(worker: ChildProcess, hangMs: number, onHang: () => void) {
    this.#worker = worker;
    this.#hangMs = hangMs;
    this.#onHang = onHang;
    this.#timer = this.#arm();
  }

  fed(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#arm();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #arm(): NodeJS.Timeout {
    return setTimeout(() => {
      this.hasBarked = true;
      this.#onHang();
      this.#worker.kill("SIGKILL");
    }, this.#hangMs);
  }
}
