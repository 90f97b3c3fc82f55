/*
 * Whether a process of this host is gone, by what Linux says of it.
 *
 * "Gone" must never be said of a process that may still write. So each doubt is a no: another boot, another namespace of process
 * ids or of time, a process that this user may not look at, a /proc that shows somebody else's processes. A process
 * whose main thread has ended is there as long as any other thread of it is: one may hang in a write.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { hostname } from "node:os";
import { type ProcessIdentity, type Processes, UNKNOWN_PROCESS } from "@holdfast/environment";

/** The processes of this host; on other systems than Linux nothing is known of any. */
export const nodeProcesses: Processes = { own: ownIdentity(), isGone };

/** What `/proc/PID/stat` says. */
export interface ProcessStat {
  /** One letter; Z and X are dead. */
  readonly state: string;
  /** Ticks between the start of the kernel and of the process. */
  readonly startTime: bigint;
}

/**
 * Reads a line of `/proc/PID/stat`.
 *
 * @throws RangeError when it is none.
 */
export function parseProcessStat(line: string): ProcessStat {
  // The second field is a name in parentheses, which may hold blanks and parentheses; fields are counted from 1.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const [state, startTime] = [fields[0], fields[19]];
  if (state === undefined || startTime === undefined || !/^\d+$/.test(startTime))
    throw new RangeError("this is no line of /proc/PID/stat");
  return { state, startTime: BigInt(startTime) };
}

function ownIdentity(): ProcessIdentity {
  const unknown = { ...UNKNOWN_PROCESS, hostName: hostname() };
  // The kernel ends the rings of a dead process behind its back: a write in one may outlive it.
  if ((process.env["UV_USE_IO_URING"] ?? "0") !== "0") return unknown;
  try {
    // A /proc of another namespace would tell of other processes.
    if (readlinkSync("/proc/self") !== String(process.pid)) return unknown;
    return {
      hostName: hostname(),
      bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      namespace: (inodeOf("pid") << 32n) | inodeOf("time"),
      pid: process.pid,
      startTime: parseProcessStat(readFileSync("/proc/self/stat", "utf8")).startTime,
    };
  } catch {
    // No Linux, or no /proc: nothing is known, so nothing is ever confirmed by it.
    return unknown;
  }
}

/** The number in `pid:[4026531836]`. */
function inodeOf(namespace: "pid" | "time"): bigint {
  const inode = /\[(\d+)\]$/.exec(readlinkSync(`/proc/self/ns/${namespace}`))?.[1];
  if (inode === undefined) throw new RangeError(`the ${namespace} namespace has no number`);
  return BigInt(inode);
}

async function isGone(process: ProcessIdentity): Promise<boolean> {
  const { own } = nodeProcesses;
  const isOurs = process.bootId === own.bootId && process.namespace === own.namespace;
  if (!isOurs || own.bootId === "" || process.pid <= 0) return false;
  if (!isThere(process.pid)) return true;
  try {
    const { state, startTime } = parseProcessStat(await readFile(`/proc/${process.pid}/stat`, "utf8"));
    if (startTime !== process.startTime) return true;
    if (state !== "Z" && state !== "X") return false;
    const threads = await readdir(`/proc/${process.pid}/task`);
    return threads.length === 1;
  } catch {
    // It went while it was looked at, or it may not be looked at.
    return !isThere(process.pid);
  }
}

/** Signal 0 tells whether a process exists, also one that /proc hides; it does nothing to it. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}
