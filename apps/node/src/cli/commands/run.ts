/*
 * `holdfast run`: a member until it is told to stop.
 */
import { CancelledError, deferred } from "@holdfast/environment";
import { type Logger, pino } from "pino";
import { newSocketAddress, removeSocket } from "../../admin/admin-socket.ts";
import { startAdminServer } from "../../admin/admin-server.ts";
import { openVolume, type Volume } from "../../open-volume.ts";
import { superOf } from "../../super-of.ts";
import { VolumeAccess } from "../../volume-access.ts";
import { ExitCode } from "../exit-codes.ts";
import { hex, print } from "../output.ts";

/** How to run. */
export interface RunCommand {
  readonly url: string;
  readonly listen: string | false;
  readonly name: string | undefined;
  /** Executable that cuts dead members off, when this member serves. */
  readonly fenceAgent: string | undefined;
  readonly logLevel: string;
  readonly isJson: boolean;
}

/** How long it may take to become a member before the log says what is waited for; then so often. */
const WAITING_MS = 15_000;

/** Signals that end a member in order; a second one ends it at once. */
const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Facts that are 64-bit identities, and are told as everywhere else; other bigints are counts. */
const IDENTITIES: ReadonlySet<string> = new Set(["fsid", "rid", "member", "server", "writer", "owner"]);

/**
 * Runs a member until SIGTERM or SIGINT; resolves with the exit code.
 *
 * @throws whatever keeps this process from becoming a member, or ended its membership.
 */
export async function runMember(command: RunCommand): Promise<number> {
  const { url, listen, name, fenceAgent, logLevel } = command;
  const log = makeLog(logLevel);
  const { superBlock } = await superOf(url);
  const { fsid } = superBlock;
  const address = await newSocketAddress(fsid);
  const stopping = new AbortController();
  const end = deferred<void>();
  end.promise.catch(() => {});
  for (const signal of STOP_SIGNALS) {
    process.once(signal, () => {
      log.info({ event: "run.stopping", signal }, "stopping");
      stopping.abort(new Error(`stopped by ${signal}`));
      end.resolve();
    });
  }
  const onLost = (error: Error): void => {
    log.error({ event: "run.lost", err: error }, "this process is no member any more");
    end.reject(error);
  };
  log.info({ event: "run.started", url, fsid }, "opening the volume");
  try {
    const { signal } = stopping;
    const settings = {
      listen,
      log,
      fsid,
      signal,
      onLost,
      ...(name === undefined ? {} : { name }),
      ...(fenceAgent === undefined ? {} : { fenceAgent }),
    };
    const waiting = setInterval(() => sayWaiting(log, listen !== false), WAITING_MS);
    const volume = await openVolume(url, settings).finally(() => clearInterval(waiting));
    try {
      await serveCommands(volume, { ...command, address, identity: superBlock, log }, end.promise);
    } finally {
      await volume.close();
    }
    return ExitCode.ok;
  } catch (error) {
    // Told to stop before it was a member: there is nothing to leave.
    if (stopping.signal.aborted && error instanceof CancelledError) return ExitCode.ok;
    throw error;
  }
}

function sayWaiting(log: Logger, isVoter: boolean): void {
  const text = isVoter
    ? "no server yet, and this member has not been elected"
    : "no server yet, and this member does not vote: start one that does";
  log.warn({ event: "run.waiting", isVoter }, text);
}

async function serveCommands(
  volume: Volume,
  options: RunCommand & {
    readonly address: string;
    readonly identity: Awaited<ReturnType<typeof superOf>>["superBlock"];
    readonly log: Logger;
  },
  end: Promise<void>,
): Promise<void> {
  const { address, identity, log, isJson } = options;
  const { fsid, formatHash, key, label } = identity;
  const { pid } = process;
  const access = new VolumeAccess(volume);
  const admin = await startAdminServer({ access, identity: { fsid, formatHash, key }, address, log });
  try {
    await print(isJson, { fsid, rid: volume.rid, label, pid, socket: address }, [
      `member ${hex(volume.rid)} of volume ${hex(fsid)} runs as process ${pid}; stop it with SIGTERM`,
    ]);
    await end;
  } finally {
    await admin.close();
    await removeSocket(address);
  }
}

/** Log that is kept while it cannot be written; what comes then is left out. */
const UNWRITTEN_LOG_BYTES_MAX: number = 1024 * 1024;

function makeLog(level: string): Logger {
  const destination = pino.destination({ dest: 2, sync: true, maxLength: UNWRITTEN_LOG_BYTES_MAX });
  // A log that takes nothing, its disk being full, ends no member; it goes on when there is room again.
  destination.on("error", () => {});
  return pino({ level, formatters: { log: readable } }, destination);
}

function readable(facts: Record<string, unknown>): Record<string, unknown> {
  const told = Object.entries(facts).map(([name, value]) => {
    if (typeof value !== "bigint") return [name, value] as const;
    return [name, IDENTITIES.has(name) ? hex(value) : Number(value)] as const;
  });
  return Object.fromEntries(told);
}
