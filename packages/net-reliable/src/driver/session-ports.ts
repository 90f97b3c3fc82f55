import {
  type Cancel,
  type Clock,
  type Cryptography,
  type Logger,
  type Random,
  SILENT_LOGGER,
  type Transport,
} from "@holdfast/environment";
import { CALL_UNKNOWN } from "../codes.ts";
import type { Done } from "../pending-requests.ts";
import type { RequestHandler } from "./client-options.ts";

/** What sessions need of the world. */
export interface SessionPorts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly cryptography: Cryptography;
  /** Nothing is logged without it. */
  readonly log?: Logger;
}

/** The ports with a log, whoever they came from: their members may be inherited. */
export function withLog(ports: SessionPorts): Required<SessionPorts> {
  const { transport, clock, random, cryptography, log = SILENT_LOGGER } = ports;
  return { transport, clock, random, cryptography, log };
}

const EMPTY = new Uint8Array(0);

/** Tells a caller that its call failed, never before the call returned; the result keeps it from being told. */
export function failLater(done: Done, error: number): Cancel {
  let isCancelled = false;
  void Promise.resolve().then(() => {
    if (!isCancelled) done(error, EMPTY);
  });
  return () => {
    isCancelled = true;
  };
}

/** Answers for a side that takes no requests. */
export const refuseUnknown: RequestHandler = (_rid, _command, _body, respond) => respond(CALL_UNKNOWN, EMPTY);

/** Another number than anybody else has, not 0. */
export function randomRid(random: Random): bigint {
  for (;;) {
    const rid = random.u64();
    if (rid !== 0n) return rid;
  }
}
