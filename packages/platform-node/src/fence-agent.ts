/*
 * A fence agent that is an executable.
 *
 * It is told whom to fence in its environment, and says by exit code 0 that this member can never write to the volume again.
 * Everything else is a no: another code, a signal, too long a time, a line that names somebody else, a file that
 * cannot be run.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  deferred,
  type Fence,
  type FenceAgent,
  type FenceAnswer,
  type FenceTarget,
} from "@holdfast/environment";

/** An agent that takes longer is killed with all it started, and asked again later. */
const AGENT_LIMIT_MS = 30_000;

/** What is kept of an agent's output, for people. */
const OUTPUT_LENGTH_MAX = 2048;

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
  // A group of its own, so that what it started ends with it.
  const child = spawn(path, [], { env: environmentOf(target), stdio: "pipe", detached: true });
  if (child.pid === undefined) {
    // Without file descriptors to spare it has not even streams.
    child.on("error", (error) => refuse(`it cannot be run: ${error.message}`));
    return { answer: answer.promise, cancel: () => refuse("it cannot be run") };
  }
  let output = "";
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString("utf8")).slice(0, OUTPUT_LENGTH_MAX);
  };
  child.stdin.on("error", () => {}).end();
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
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
    if (code === 0) answer.resolve(answerOf(rid, output));
    else refuse(`it ended with ${killedBy ?? `code ${code}`}: ${output.trim()}`);
  });
  return { answer: answer.promise, cancel: () => end("the server stopped before it answered") };
}

/** An agent that says whom it fenced is taken at its word. */
function answerOf(asked: bigint, output: string): FenceAnswer {
  const named = /^fenced ([0-9a-f]{1,16})\s*$/m.exec(output)?.[1];
  const rid = named === undefined ? asked : BigInt(`0x${named}`);
  return { rid, isConfirmed: true, detail: output.trim() };
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
