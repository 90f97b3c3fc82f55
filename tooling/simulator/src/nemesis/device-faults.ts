/*
 * Faults of the device that change when and whether requests end, not what the device holds.
 */
import type { Host } from "../scenario/fleet.ts";
import type { DiskErrors } from "../world/disk.ts";
import type { DeviceFault } from "../plan/fault-kinds.ts";
import type { FaultHandler, Field } from "./field.ts";

const ERROR_PROBABILITY = 0.01;

/** Longer than a server waits for a silent member (2 s) or for one that should report its locks (1 s), and replays its journal. */
const EVICTION_MS = 4000;

/** One stall in so many lasts a minute rather than seconds. */
const LONG_STALL_ONE_IN = 12;
const LONG_STALL_FACTOR = 12;

const FAILING: readonly Partial<DiskErrors>[] = [
  { write: 1 },
  { write: 1, flush: 1 },
  { flush: 1 },
  { read: 1 },
  { read: 1, write: 1, flush: 1 },
];

/** Handlers of faults of the device. */
export const DEVICE_HANDLERS: Readonly<Record<DeviceFault, FaultHandler>> = {
  "hold-writes": (field, { victim, fault }) => field.hold(victim, fault.lastsMs),
  "hold-server": async (field, { victim, fault }) => {
    const server = await field.server(victim);
    field.hold(server, fault.lastsMs);
    field.later(Math.min(fault.lastsMs, 50), () => field.pause(server, fault.lastsMs));
  },
  "ghost-writes": (field, { victim, fault, random }) => {
    field.hold(victim, EVICTION_MS + fault.lastsMs);
    field.later(random.range(1, 20), () => field.crash(victim, fault, random.chance(0.5)));
  },
  "stall-disk": ({ disk, world }, { fault }) => disk.stall(world.nowMs + fault.lastsMs / 2),
  "stall-path": ({ disk, world }, { victim: { process }, fault }) => {
    const isLong = (fault.choice >>> 8) % LONG_STALL_ONE_IN === 0;
    const lastsMs = fault.lastsMs * (isLong ? LONG_STALL_FACTOR : 1);
    if (process !== undefined) disk.stall(world.nowMs + lastsMs, process);
  },
  "power-loss": (field, { fault }) => field.losePower(fault.lastsMs),
  "disk-errors": (field, { fault }) => {
    field.hasDeviceFailed = true;
    const probability = ERROR_PROBABILITY;
    field.disk.setErrors({ read: probability, write: probability, flush: probability });
    field.later(fault.lastsMs, () => field.disk.setErrors({}));
  },
  "path-fails": (field, { victim, fault }) => failPath(field, victim, fault),
  "server-path-fails": async (field, { victim, fault }) => failPath(field, await field.server(victim), fault),
};

function failPath(
  field: Field,
  { process }: Host,
  { choice, lastsMs }: { readonly choice: number; readonly lastsMs: number },
): void {
  if (process === undefined) return;
  field.hasDeviceFailed = true;
  field.disk.setErrors(FAILING[(choice >>> 8) % FAILING.length] ?? {}, process);
  field.later(lastsMs, () => field.disk.setErrors({}, process));
}
