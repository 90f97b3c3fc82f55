/*
 * Lock drivers joined in memory: calls and answers travel in order, one microtask later, and a gate that a test holds.
 */
import { type Cancel, type Clock, NO_BROKEN_RULES, SILENT_LOGGER } from "@holdfast/environment";
import { LockRange } from "@holdfast/lock-protocol";
import { KEY_BYTES } from "@holdfast/wire-format";
import { createLockClient } from "../../src/locks/lock-client-driver.ts";
import {
  createLockServer,
  type LockServerDriver,
  type LockServerOptions,
} from "../../src/locks/lock-server-driver.ts";
import type { LockClientDriver, LockClientOptions } from "../../src/locks/locking.ts";

/** Command numbers of the wiring. */
export const LOCK = 1;
export const INVALIDATE = 2;

/** A clock that moves when it is told to, and counts the turns it was asked for. */
export class ManualClock implements Clock {
  timeMs = 0;
  yieldCount = 0;

  now(): number {
    return this.timeMs;
  }

  wallMs(): number {
    return this.timeMs;
  }

  at(): Cancel {
    throw new Error("locks arm no timer");
  }

  yield(): Promise<void> {
    this.yieldCount += 1;
    return Promise.resolve();
  }
}

/** Lets everything run that needs no event from outside. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

/** One server and its members. */
export class Wiring {
  readonly clock: ManualClock = new ManualClock();
  readonly badPeers: { rid: bigint; reason: string }[] = [];
  readonly errors: unknown[] = [];
  readonly server: LockServerDriver;
  gate: () => Promise<void> = () => Promise.resolve();
  manifestVersion = 1n;
  readonly #clients = new Map<bigint, LockClientDriver>();

  constructor(options: Partial<LockServerOptions> = {}) {
    this.server = createLockServer({
      term: 1n,
      commandInvalidate: INVALIDATE,
      call: (rid, _command, body, done) => {
        later(() =>
          this.#clients.get(rid)?.handleInvalidate(body, (error, answer) => later(() => done(error, answer))),
        );
        return () => {};
      },
      gate: () => this.gate(),
      manifestVersion: () => this.manifestVersion,
      onBadPeer: (rid, reason) => this.badPeers.push({ rid, reason }),
      clock: this.clock,
      log: SILENT_LOGGER,
      ...options,
    });
    this.server.beginRecovery([]);
  }

  join(rid: bigint, options: Partial<LockClientOptions> = {}): LockClientDriver {
    const client = createLockClient({
      call: (_command, body, done) => {
        later(() =>
          this.server.handleRequest(rid, body, (error, answer) => later(() => done(error, answer))),
        );
        return () => {};
      },
      commandLock: LOCK,
      idleLimit: 100,
      brokenRules: NO_BROKEN_RULES,
      flush: () => Promise.resolve(),
      onError: (error) => this.errors.push(error),
      clock: this.clock,
      log: SILENT_LOGGER,
      ...options,
    });
    client.onNewServer(1n);
    this.#clients.set(rid, client);
    return client;
  }
}

/** A range of keys with a first byte of its own. */
export function rangeOf(start: number): LockRange {
  const first = new Uint8Array(KEY_BYTES);
  const last = new Uint8Array(KEY_BYTES).fill(0xff);
  first[0] = start;
  last[0] = start;
  return new LockRange({ start: first, end: last });
}

function later(action: () => void): void {
  void Promise.resolve().then(action);
}
