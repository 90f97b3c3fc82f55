/*
 * Real NBD servers as processes of the tests: started on Unix sockets or free ports, ended with their test.
 */
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { SUITE_DEVICE_BYTES } from "@holdfast/conformance";
import { describe, vi } from "vitest";

/** Debian packages that have the programs. */
const PACKAGES = {
  nbdkit: "nbdkit",
  "qemu-nbd": "qemu-utils",
  "nbd-server": "nbd-server",
  certtool: "gnutls-bin",
} as const;

/** A program that tests need. */
export type Program = keyof typeof PACKAGES;

/** Registers tests that need programs; where one is missing they are skipped, and their name says what to install. */
export function describeWith(programs: readonly Program[], name: string, body: () => void): void {
  const missing = programs.filter((program) => !isInstalled(program));
  const packages = missing.map((program) => PACKAGES[program]).join(" ");
  const why = `skipped: ${missing.join(", ")} not found, apt-get install ${packages}`;
  describe.skipIf(missing.length > 0)(missing.length === 0 ? name : `${name} (${why})`, () => {
    body();
  });
}

function isInstalled(program: Program): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** In memory where that is possible: what is tested here is no disk. */
const FAST_FOLDER = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A server that runs. */
export interface RunningServer {
  /** What it prints. */
  readonly output: () => string;
  /** Sends a signal and waits for the end. */
  readonly end: (signal?: NodeJS.Signals) => Promise<void>;
  readonly signal: (signal: NodeJS.Signals) => void;
}

/** A folder with an image of {@link SUITE_DEVICE_BYTES} zeros, and servers that end with it. */
export class NbdWorkplace {
  /** Made by {@link clear}: where every test is skipped, nobody would remove it. */
  readonly directory: string = join(FAST_FOLDER, `hf-nbd-${randomBytes(6).toString("hex")}`);
  readonly image: string = this.path("image");
  readonly #running: Set<RunningServer> = new Set();

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Makes the image all zeros; servers go on with it. */
  async clear(): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    await writeFile(this.image, "", { flag: "a" });
    await truncate(this.image, 0);
    await truncate(this.image, SUITE_DEVICE_BYTES);
  }

  /** Starts nbdkit on the socket `name`: filters, plugin and parameters as given. */
  nbdkit(name: string, args: readonly string[]): Promise<RunningServer> {
    const socket = this.path(name);
    return this.#start("nbdkit", ["--foreground", "--unix", socket, ...args], { path: socket });
  }

  /** Starts qemu-nbd on the socket `name`. */
  qemu(name: string, args: readonly string[]): Promise<RunningServer> {
    const socket = this.path(name);
    const all = ["--socket", socket, "--format", "raw", "--persistent", "--shared=8", ...args, this.image];
    return this.#start("qemu-nbd", all, { path: socket });
  }

  /**
   * Starts nbd-server on a port, with lines for the section of the export `disk`, and for all of it. It makes itself a daemon,
   * and a process of each connection.
   */
  async nbdServer(
    port: number,
    lines: readonly string[],
    common: readonly string[] = [],
  ): Promise<RunningServer> {
    const [config, pidFile] = [this.path(`nbd-server.${port}.conf`), this.path(`nbd-server.${port}.pid`)];
    const generic = ["[generic]", "listenaddr = 127.0.0.1", `port = ${port}`, "allowlist = true", ...common];
    await writeFile(config, [...generic, "[disk]", `exportname = ${this.image}`, ...lines, ""].join("\n"));
    execFileSync("nbd-server", ["-C", config, "-p", pidFile], { stdio: "ignore" });
    await listening({ port });
    const pid = await vi.waitFor(async () => {
      const number = Number(await readFile(pidFile, "utf8"));
      if (!(number > 1)) throw new Error("no process id yet");
      return number;
    });
    let isEnded = false;
    const signal = (name: NodeJS.Signals): void => void process.kill(-pid, name);
    const end = async (name: NodeJS.Signals = "SIGTERM"): Promise<void> => {
      if (isEnded) return;
      isEnded = true;
      signal(name);
    };
    return this.#keep({ output: () => "", end, signal });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map((server) => server.end()));
    await rm(this.directory, { recursive: true, force: true });
  }

  async #start(
    program: Program,
    args: readonly string[],
    target: { readonly path: string },
  ): Promise<RunningServer> {
    await rm(target.path, { force: true });
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => {
        output += bytes.toString();
      });
    const failed = once(child, "exit").then(() => {
      throw new Error(`${program} ended: ${output}`);
    });
    await Promise.race([listening(target), failed]);
    // From here on its end is what the test wants.
    failed.catch(() => {});
    return this.#keep({
      output: () => output,
      signal: (name) => void child.kill(name),
      end: async (name = "SIGKILL") => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill(name);
        await once(child, "exit");
      },
    });
  }

  #keep(server: RunningServer): RunningServer {
    this.#running.add(server);
    return server;
  }
}

/** A port of the loopback interface that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // Of a TCP server it is never a string.
  server.close();
  await once(server, "close");
  return port;
}

async function listening(target: { readonly path: string } | { readonly port: number }): Promise<void> {
  await vi.waitFor(
    async () => {
      const socket = connect("path" in target ? target : { ...target, host: "127.0.0.1" });
      try {
        await once(socket, "connect");
      } finally {
        socket.destroy();
      }
    },
    { timeout: 10_000, interval: 20 },
  );
}
