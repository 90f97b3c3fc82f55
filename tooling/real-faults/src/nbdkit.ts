/*
 * A disk that fails when it is told to: nbdkit over a file, with its filters for errors, delays, pauses and lost power.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FlushFault } from "./flush-fault.ts";

/** How long the server may take to make its socket. */
const START_MS = 10_000;

/** What a disk can do to its user. */
export interface FaultyDiskOptions {
  /** Writes that were not flushed are lost when the server is killed. */
  readonly hasVolatileCache?: boolean;
  /** Every write takes so long, milliseconds. */
  readonly writeDelayMs?: number;
  /** Clients must flush, since no write is durable by itself, and a flush can be told to fail. */
  readonly hasFlushFaults?: boolean;
}

/** True if nbdkit is installed. */
export function hasNbdkit(): boolean {
  return spawnSync("nbdkit", ["--version"]).status === 0;
}

/** One path to a file, by an NBD server of its own. */
export class FaultyDisk {
  readonly #directory: string;
  readonly #words: readonly string[];
  #process: ChildProcess;
  #flushFault: FlushFault | undefined;

  private constructor(directory: string, words: readonly string[]) {
    this.#directory = directory;
    this.#words = words;
    this.#process = spawnServer(words);
  }

  /** Where clients find it. */
  get url(): string {
    return this.#flushFault?.url ?? `nbd+unix:///?socket=${join(this.#directory, "nbd.sock")}`;
  }

  /** Serves `path`. */
  static async start(path: string, options: FaultyDiskOptions = {}): Promise<FaultyDisk> {
    const directory = await mkdtemp(join(tmpdir(), "holdfast-disk-"));
    const { hasVolatileCache = false, writeDelayMs = 0, hasFlushFaults = false } = options;
    const words = [
      "--foreground",
      "--newstyle",
      "--unix",
      join(directory, "nbd.sock"),
      "--threads",
      "16",
      "--filter=pause",
      "--filter=error",
      // Its default is not to offer FUA.
      ...(hasFlushFaults ? ["--filter=fua"] : []),
      ...(writeDelayMs > 0 ? ["--filter=delay"] : []),
      ...(hasVolatileCache ? ["--filter=cache"] : []),
      "file",
      path,
      `pause-control=${join(directory, "pause.sock")}`,
      "error=EIO",
      "error-pread-rate=100%",
      "error-pwrite-rate=100%",
      "error-zero-rate=100%",
      `error-pread-file=${join(directory, "fail-reads")}`,
      `error-pwrite-file=${join(directory, "fail-writes")}`,
      `error-zero-file=${join(directory, "fail-writes")}`,
      ...(writeDelayMs > 0 ? [`delay-write=${writeDelayMs}ms`] : []),
      ...(hasVolatileCache ? ["cache=writeback"] : []),
    ];
    const disk = new FaultyDisk(directory, words);
    try {
      await disk.#untilUp();
      if (hasFlushFaults)
        disk.#flushFault = await FlushFault.start(join(directory, "flush.sock"), join(directory, "nbd.sock"));
      return disk;
    } catch (error) {
      await disk.stop();
      throw error;
    }
  }

  /** From now on writes fail with EIO. */
  async failWrites(): Promise<void> {
    await writeFile(join(this.#directory, "fail-writes"), "");
  }

  /** From now on reads fail with EIO. */
  async failReads(): Promise<void> {
    await writeFile(join(this.#directory, "fail-reads"), "");
  }

  /** The next flush fails with EIO, and does not happen; later ones succeed. */
  failNextFlush(): void {
    if (this.#flushFault === undefined) throw new Error("this disk was not started with hasFlushFaults");
    this.#flushFault.failNextFlush();
  }

  /** Flushes that failed so far. */
  get failedFlushesCount(): number {
    return this.#flushFault?.failedCount ?? 0;
  }

  /** Reads and writes go well again. */
  async recover(): Promise<void> {
    await rm(join(this.#directory, "fail-writes"), { force: true });
    await rm(join(this.#directory, "fail-reads"), { force: true });
  }

  /** Nothing is answered until {@link resume}. */
  async pause(): Promise<void> {
    await this.#control("p", "P");
  }

  /** Answers what had to wait. */
  async resume(): Promise<void> {
    await this.#control("r", "R");
  }

  /** Kills the server, as if its power had gone; what it kept in a volatile cache is lost. */
  async losePower(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#gone();
  }

  /** Serves again after {@link losePower}. */
  async restart(): Promise<void> {
    await rm(join(this.#directory, "nbd.sock"), { force: true });
    await rm(join(this.#directory, "pause.sock"), { force: true });
    this.#process = spawnServer(this.#words);
    await this.#untilUp();
  }

  /** Ends the server. */
  async stop(): Promise<void> {
    await this.#flushFault?.stop();
    this.#process.kill("SIGKILL");
    await this.#gone();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #control(word: string, answer: string): Promise<void> {
    const socket = createConnection(join(this.#directory, "pause.sock"));
    socket.write(word);
    const [said] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    if (said.toString("latin1") !== answer)
      throw new Error(`nbdkit answers "${said.toString("latin1")}" to "${word}"`);
  }

  async #untilUp(): Promise<void> {
    for (let waitedMs = 0; waitedMs < START_MS; waitedMs += 10) {
      const isUp = await access(join(this.#directory, "nbd.sock")).then(
        () => true,
        () => false,
      );
      if (isUp) return;
      if (this.#process.exitCode !== null) break;
      await sleep(10);
    }
    throw new Error("nbdkit does not start");
  }

  async #gone(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, "exit");
  }
}

function spawnServer(words: readonly string[]): ChildProcess {
  return spawn("nbdkit", [...words], { stdio: ["ignore", "ignore", "inherit"] });
}
