/*
 * A fence agent that is an executable.
 *
 * It is told whom to fence in its environment, and says by exit code 0 that this member can never write to the volume again.
 * Everything else is a no: another code, a signal, too long a time, a line that names somebody else, a file that
 * cannot be run.
 */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import {
  deferred,
  type Fence,
  type FenceAgent,
  type FenceAnswer,
  type FenceTarget,
} from "@holdfast/environment";
import { AgentOutput } from "./agent-output.ts";
import { reasonOf } from "./failures.ts";

/** An agent that takes longer is killed with all it started, and asked again later. */
const AGENT_LIMIT_MS = 30_000;

/**
 * The agent at `path`, run once for each request, with `HOLDFAST_FENCE_RID` (16 hexadecimal digits),
 * `HOLDFAST_FENCE_ADDRESS`, `HOLDFAST_FENCE_HOST`, `HOLDFAST_FENCE_PID` and `HOLDFAST_FENCE_REASON`. It may print
 * `fenced RID` to show whom it fenced.
 */
export function executableFenceAgent(path: string, limitMs: number = AGENT_LIMIT_MS): FenceAgent {
  return { fence: (target) => start(path, target, limitMs) };
}

function start(path: string, target: FenceTarget, limitMs: number): Fence {
  const { rid } = target;
  const answer = deferred<FenceAnswer>();
  const refuse = (detail: string): void => answer.resolve({ rid, isConfirmed: false, detail });
  const cannotRun = (cause: unknown): void => refuse(`it cannot be run: ${reasonOf(cause)}`);
  const child = tryToSpawn(path, target, cannotRun);
  if (child?.pid === undefined) {
    // Without file descriptors to spare it has not even streams.
    child?.on("error", cannotRun);
    return { answer: answer.promise, cancel: () => refuse("it cannot be run") };
  }
  const output = new AgentOutput();
  child.stdin.on("error", () => {}).end();
  output.listen(child.stdout);
  output.listen(child.stderr);
  let isOver = false;
  const end = (detail: string): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    killGroup(child);
    refuse(detail);
  };
  const timer = setTimeout(() => end(`it did not answer within ${limitMs / 1000} s`), limitMs);
  child.on("error", (error) => end(`it failed: ${error.message}`));
  child.on("close", (code, killedBy) => {
    isOver = true;
    clearTimeout(timer);
    const detail = output.text;
    if (code === 0) answer.resolve({ rid: output.namedBeside(rid), isConfirmed: true, detail });
    else refuse(`it ended with ${killedBy ?? `code ${code}`}: ${detail}`);
  });
  return { answer: answer.promise, cancel: () => end("the server stopped before it answered") };
}

/** Some errors are told by an event, some are thrown: ENOTDIR, and ETXTBSY while the file is being replaced. */
function tryToSpawn(
  path: string,
  target: FenceTarget,
  failed: (cause: unknown) => void,
): ChildProcessWithoutNullStreams | undefined {
  try {
    // A group of its own, so that what it started ends with it.
    return spawn(path, [], { env: environmentOf(target), stdio: "pipe", detached: true });
  } catch (cause) {
    failed(cause);
    return undefined;
  }
}

function environmentOf({ rid, address, process: { hostName, pid }, reason }: FenceTarget): NodeJS.ProcessEnv {
  return {
    ...process.env,
    HOLDFAST_FENCE_RID: rid.toString(16).padStart(16, "0"),
    HOLDFAST_FENCE_ADDRESS: address,
    HOLDFAST_FENCE_HOST: hostName,
    HOLDFAST_FENCE_PID: pid === 0 ? "" : String(pid),
    HOLDFAST_FENCE_REASON: reason,
  };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // It ended by itself in this moment, or runs as somebody whom we may not signal: its answer does not count any more.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}
