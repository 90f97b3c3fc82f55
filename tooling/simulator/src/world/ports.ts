/*
 * All ports of one simulated process, in one hand.
 */
import type {
  BlockDevice,
  Clock,
  Cryptography,
  FenceAgent,
  Logger,
  Processes,
  Random,
  Transport,
} from "@holdfast/environment";
import { SimulatedClock } from "./clock.ts";
import { SIMULATED_CRYPTOGRAPHY } from "./cryptography.ts";
import type { SimulatedDisk } from "./disk.ts";
import { SimulatedFenceAgent, SimulatedProcesses } from "./fence.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { SimulatedProcess } from "./process.ts";
import { SimulatedTransport } from "./transport.ts";

/** What a simulated process has of the world. */
export interface SimulatedPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly device: BlockDevice;
  readonly cryptography: Cryptography;
  readonly log: Logger;
  readonly processes: Processes;
  readonly fenceAgent: FenceAgent;
}

/** One line of a simulated process's log. */
export interface LogLine {
  readonly timeMs: number;
  readonly process: string;
  readonly level: "debug" | "info" | "warn" | "error";
  readonly facts: object;
  readonly message: string;
}

/** Makes the ports of a process; `onLog` hears its log. */
export function portsOf(
  process: SimulatedProcess,
  world: { readonly network: SimulatedNetwork; readonly disk: SimulatedDisk },
  onLog?: (line: LogLine) => void,
): SimulatedPorts {
  return {
    clock: new SimulatedClock(process),
    random: process.random.fork("port"),
    transport: new SimulatedTransport(world.network, process),
    device: world.disk.open(process),
    cryptography: SIMULATED_CRYPTOGRAPHY,
    processes: new SimulatedProcesses(process, world.disk),
    fenceAgent: new SimulatedFenceAgent(process, world.disk),
    log: {
      debug: logAt("debug"),
      info: logAt("info"),
      warn: logAt("warn"),
      error: logAt("error"),
    },
  };

  function logAt(level: LogLine["level"]): (facts: object, message: string) => void {
    return (facts, message) => {
      const { nowMs } = process.world;
      process.world.note(process.name, () => `${level}: ${message} ${describeFacts(facts)}`);
      onLog?.({ timeMs: nowMs, process: process.name, level, facts, message });
    };
  }
}

/** Facts in one line: `name=value`, errors by their message. */
export function describeFacts(facts: object): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name}=${describe(value)}`)
    .join(" ");
}

function describe(value: unknown): string {
  if (value instanceof Error) return `${value.name}(${value.message})`;
  if (typeof value === "object" && value !== null) return `{${Object.keys(value).join(",")}}`;
  return String(value);
}
