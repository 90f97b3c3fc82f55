/*
 * Where the requests of members arrive at a server and its answers leave.
 *
 * What arrives before the opening is recorded is kept and handled in its order. What goes wrong with one request is told
 * to who asked; a device that fails, or a successor, ends the reign, and then nobody is answered any more: an answer of a
 * server that has ended would be a lie, and the member asks the next one.
 */
import { DeviceError, type Logger } from "@holdfast/environment";
import { COMMAND_FAREWELL, type Respond } from "@holdfast/net-reliable";
import { DeposedError, DeviceStalledError, RecordWriteError } from "@holdfast/quorum";
import type { LockServerDriver } from "../locks/lock-server-driver.ts";
import { Command, EMPTY_BODY, Refusal } from "../protocol.ts";
import type { Attendance } from "./attendance.ts";
import { refusalFor } from "./refusals.ts";
import type { Requests } from "./requests.ts";

/** Who does what is asked for. */
export interface ReceptionOptions {
  readonly attendance: Attendance;
  readonly requests: Requests;
  readonly locks: LockServerDriver;
  readonly status: () => Promise<Uint8Array>;
  readonly fence: (body: Uint8Array) => Promise<Uint8Array>;
  /** Ends the session of a member that has left. */
  readonly forgetSession: (rid: bigint) => void;
  readonly onFatal: (error: unknown) => void;
  readonly log: Logger;
}

/** The reception of one server. */
export class Reception {
  readonly #options: ReceptionOptions;
  /** Calls that arrived before the opening was recorded. */
  #early: (() => void)[] | undefined = [];
  #isClosed = false;

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  /** True once the opening is recorded. */
  get isOpen(): boolean {
    return this.#early === undefined;
  }

  /** The opening is recorded: handles what has come, and whatever comes. */
  open(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const action of early) action();
  }

  /** Answers nobody any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Takes a request. */
  receive(rid: bigint, command: number, body: Uint8Array, respond: Respond): void {
    if (this.#early === undefined) return this.#dispatch(rid, command, body, respond);
    const copy = body.slice();
    this.#early.push(() => this.#dispatch(rid, command, copy, respond));
  }

  #dispatch(rid: bigint, command: number, body: Uint8Array, respond: Respond): void {
    const { attendance, requests, locks, status, forgetSession } = this.#options;
    switch (command) {
      case Command.join:
        return this.#answer(respond, attendance.join(rid, body));
      case Command.reclaim:
        return this.#answer(respond, attendance.reclaim(rid, body));
      case COMMAND_FAREWELL:
        return this.#answer(
          (error, reply) => {
            respond(error, reply);
            if (error === 0) forgetSession(rid);
          },
          attendance.farewell(rid, body),
        );
      case Command.status:
        return this.#answer(respond, status());
      default:
        if (!attendance.roster.isPresent(rid)) return respond(Refusal.evicted, EMPTY_BODY);
        if (command === Command.tune) return this.#answer(respond, attendance.tune(rid, body));
        if (command === Command.fence) return this.#answer(respond, this.#options.fence(body.slice()));
        if (command === Command.lock) return locks.handleRequest(rid, body, respond);
        return this.#answer(respond, requests.handle(rid, command, body));
    }
  }

  #answer(respond: Respond, work: Promise<Uint8Array>): void {
    work.then(
      (body) => {
        if (!this.#isClosed) respond(0, body);
      },
      (error: unknown) => {
        if (this.#isClosed) return;
        const { log, onFatal } = this.#options;
        if (endsReign(error)) return onFatal(error);
        const refusal = refusalFor(error);
        if (refusal === Refusal.internal) {
          log.error({ event: "request.failed", err: error }, "a request failed");
        }
        respond(refusal, EMPTY_BODY);
      },
    );
  }
}

/** True if it says nothing about the request, but that this server may answer none. */
function endsReign(error: unknown): boolean {
  return (
    error instanceof DeviceError ||
    error instanceof DeposedError ||
    error instanceof DeviceStalledError ||
    error instanceof RecordWriteError
  );
}
