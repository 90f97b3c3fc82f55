/*
 * Runs the compiled command in processes of its own, as a user would, in a directory of its own.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, vi } from "vitest";
import { makeVolume } from "../src/index.ts";

/** A busy machine may take seconds to start a process; nothing here waits for time to pass. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const COMMAND = fileURLToPath(new URL("../dist/main.js", import.meta.url));

/** Enough for the tests of one file, and soon written. */
export const VOLUME_BYTES: bigint = 64n << 20n;

/** What a command left behind. */
export interface Result {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a command. */
export interface RunSettings {
  readonly input?: string | Uint8Array;
  readonly uid?: number;
  /** File descriptor for stderr, which nobody reads here then. */
  readonly stderr?: number;
}

/** A place for volumes, files and sockets of one test file. */
export class Workplace {
  directory = "";
  readonly #children: Set<ChildProcess> = new Set();

  get #surroundings(): { readonly cwd: string; readonly env: NodeJS.ProcessEnv } {
    return { cwd: this.directory, env: { ...process.env, XDG_RUNTIME_DIR: this.directory } };
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Makes a volume and gives its path. */
  async volume(name: string, sizeBytes: bigint = VOLUME_BYTES): Promise<string> {
    const url = this.path(name);
    await makeVolume(url, { sizeBytes, label: name });
    return url;
  }

  async open(): Promise<void> {
    this.directory = await mkdtemp(join(tmpdir(), "hf-"));
  }

  async close(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all([...this.#children].map((child) => once(child, "exit")));
    await rm(this.directory, { recursive: true, force: true });
  }

  spawn(args: readonly string[], { uid, stderr }: RunSettings = {}): ChildProcess {
    const child = spawn(process.execPath, [COMMAND, ...args], {
      ...this.#surroundings,
      stdio: ["pipe", "pipe", stderr ?? "pipe"],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    // A command that ends without reading its input breaks the pipe; its exit tells the rest.
    child.stdin?.on("error", () => {});
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], settings: RunSettings = {}): Promise<Result> {
    const child = this.spawn(args, settings);
    child.stdin?.end(settings.input ?? "");
    return ended(child);
  }

  /** Runs a command that must succeed and gives what it printed. */
  async succeed(args: readonly string[], settings: RunSettings = {}): Promise<string> {
    const result = await this.run(args, settings);
    expect({ args, ...result }).toMatchObject({ code: 0, stderr: "" });
    return result.stdout;
  }

  /** Runs a command to its end while this whole process stands still. */
  runSync(args: readonly string[]): string {
    return execFileSync(process.execPath, [COMMAND, ...args], { ...this.#surroundings, encoding: "utf8" });
  }

  /** Starts `holdfast run` and resolves once it is a member. */
  async member(url: string, args: readonly string[] = []): Promise<MemberProcess> {
    const child = this.spawn(["run", url, "--json", ...args]);
    child.stdin?.end();
    const member = new MemberProcess(child);
    await member.started;
    return member;
  }
}

/** A running member. */
export class MemberProcess {
  readonly child: ChildProcess;
  readonly log: string[] = [];
  readonly result: Promise<Result>;
  /** Resolves with what it printed when it became a member. */
  readonly started: Promise<{ readonly rid: string; readonly socket: string }>;
  readonly #waiting: { readonly event: string; readonly found: (line: string) => void }[] = [];

  constructor(child: ChildProcess) {
    this.child = child;
    this.result = ended(child);
    if (child.stdout === null || child.stderr === null) throw new Error("the member has no output");
    const { stdout, stderr } = child;
    this.started = new Promise((resolve, reject) => {
      createInterface({ input: stdout }).once("line", (line) => resolve(JSON.parse(line)));
      this.result.then(
        ({ code }) => reject(new Error(`ended with ${code}:\n${this.log.join("\n")}`)),
        reject,
      );
    });
    createInterface({ input: stderr }).on("line", (line) => {
      this.log.push(line);
      for (const { event, found } of this.#waiting) if (line.includes(`"event":"${event}"`)) found(line);
    });
  }

  /** Resolves with the first log line of this event, past or to come. */
  logged(event: string): Promise<string> {
    const past = this.log.find((line) => line.includes(`"event":"${event}"`));
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => {
      this.#waiting.push({ event, found: resolve });
    });
  }

  /** Ends it and resolves with how it ended. */
  async end(signal: NodeJS.Signals): Promise<Result> {
    this.child.kill(signal);
    return this.result;
  }
}

/** Makes a workplace for the tests of a file, or of a `describe`. */
export function useWorkplace(): Workplace {
  const workplace = new Workplace();
  beforeAll(() => workplace.open());
  afterAll(() => workplace.close());
  return workplace;
}

/** SHA-256 of a file: two that differ mean that something was written. */
export async function digestOf(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

/** The error document that `--json` gives on stderr. */
export function errorOf({ stderr }: Result): { readonly code: string; readonly message: string } {
  const document: { readonly error: { readonly code: string; readonly message: string } } =
    JSON.parse(stderr);
  return document.error;
}

async function ended(child: ChildProcess): Promise<Result> {
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  await once(child, "close");
  return { code: child.exitCode, signal: child.signalCode, stdout: stdout(), stderr: stderr() };
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString("utf8");
}
