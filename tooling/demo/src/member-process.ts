/*
 * A member in a process of its own, as a user would start it: `holdfast run`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A running member process. */
export interface MemberProcess {
  readonly name: string;
  readonly pid: number;
  /** Its identity, 16 hexadecimal digits. */
  readonly rid: string;
  /** Where one-shot commands reach it. */
  readonly socket: string;
  /** Ends it without a chance to say anything. */
  kill(): Promise<void>;
  /** Ends it in order; resolves with its exit code. */
  stop(): Promise<number | null>;
}

/** The compiled command. */
const COMMAND = fileURLToPath(new URL("./main.js", import.meta.resolve("holdfast")));

/** Starts a member and resolves once it is one. */
export async function startMember(url: string, name: string): Promise<MemberProcess> {
  const child = spawn(
    process.execPath,
    [COMMAND, "run", url, "--json", "--name", name, "--log-level", "error"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const exited = once(child, "exit");
  const { rid, socket } = await firstLine(child);
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    await exited;
    return child.exitCode;
  };
  const kill = async (): Promise<void> => {
    await end("SIGKILL");
  };
  return { name, pid: child.pid ?? 0, rid, socket, kill, stop: () => end("SIGTERM") };
}

async function firstLine(child: ChildProcess): Promise<{ readonly rid: string; readonly socket: string }> {
  if (child.stdout === null) throw new Error("the member has no output");
  for await (const line of createInterface({ input: child.stdout })) {
    const said: unknown = JSON.parse(line);
    if (typeof said === "object" && said !== null && "rid" in said && "socket" in said) {
      return { rid: String(said.rid), socket: String(said.socket) };
    }
  }
  throw new Error("the member ended before it was one");
}
