/*
 * What callers and the server that they call have in common.
 */
import type { BrokenRules } from "@holdfast/environment";
import type { SessionLimits, SessionTiming } from "@holdfast/net-reliable";
import type { SessionsConfig } from "../plan/run-config.ts";
import type { Counters } from "../scenario/counters.ts";
import type { Violation } from "../scenario/violation.ts";
import type { SimulatedDisk } from "../world/disk.ts";
import type { SimulatedNetwork } from "../world/network.ts";
import { type LogLine, portsOf, type SimulatedPorts } from "../world/ports.ts";
import type { SimulatedProcess } from "../world/process.ts";
import type { SimulatedWorld } from "../world/world.ts";

/** The world that sessions are put to the test in. */
export interface SessionWorld {
  readonly world: SimulatedWorld;
  readonly network: SimulatedNetwork;
  /** Sessions use none, but a process has all ports. */
  readonly disk: SimulatedDisk;
  readonly counters: Counters;
  readonly config: SessionsConfig;
  readonly brokenRules: BrokenRules;
  readonly onViolation: (violation: Violation) => void;
}

/** A question: its body begins with the caller's number of it. */
export const COMMAND_ASK = 1;

/** The introduction to a server that is met for the first time. */
export const COMMAND_INTRODUCE = 2;

/** Quick enough that a member can be forgotten and come back while the faults of a run last. */
export const SESSION_TIMING: SessionTiming = {
  heartbeatMs: 50,
  peerTimeoutMs: 200,
  greetingTimeoutMs: 300,
  reconnectMinMs: 10,
  reconnectMaxMs: 100,
  forgetMs: 700,
};

/** Somewhat more than the newest chunk of an outbox, which is kept until its requests are answered. */
const OUTBOX_BUSY_BYTES = 20 * 1024;

/** The key of all sessions. */
export const SESSION_KEY: Uint8Array = new Uint8Array(32).fill(7);

/** The windows of a run. */
export function limitsOf({ requestsInFlightMax, requestBytesMax }: SessionsConfig): Partial<SessionLimits> {
  return { requestsInFlightMax, requestBytesMax, outboxBusyBytes: OUTBOX_BUSY_BYTES };
}

/** All ports of a process; whoever cuts off the other one accuses it, and here nobody breaks a rule. */
export function portsIn(
  { network, disk, onViolation }: SessionWorld,
  process: SimulatedProcess,
): SimulatedPorts {
  return portsOf(process, { network, disk }, ({ facts, process: name, message }: LogLine) => {
    if ("event" in facts && facts.event === "session.malformed")
      onViolation({ type: "session", message: `${name}: ${message}` });
  });
}
