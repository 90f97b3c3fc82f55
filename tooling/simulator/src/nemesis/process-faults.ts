/*
 * Faults of processes and of their clocks.
 */
import type { ProcessFault } from "../plan/fault-kinds.ts";
import type { FaultHandler } from "./field.ts";

const YEAR_MS = 365.25 * 24 * 3600 * 1000;
const WALL_JUMP_MAX_MS = 10 * YEAR_MS;

/** A strobing clock jumps so often. */
const STROBE_MIN_MS = 100;
const STROBE_MAX_MS = 1000;

/** Handlers of faults of processes. */
export const PROCESS_HANDLERS: Readonly<Record<ProcessFault, FaultHandler>> = {
  crash: (field, { victim, fault }) => field.crash(victim, fault),
  "crash-server": async (field, { victim, fault }) => field.crash(await field.server(victim), fault),
  pause: (field, { victim, fault }) => field.pause(victim, fault.lastsMs),
  "pause-server": async (field, { victim, fault }) => field.pause(await field.server(victim), fault.lastsMs),
  "hidden-pause": (field, { victim, fault }) => field.pause(victim, fault.lastsMs, true),
  leave: async (field, { victim, fault }) => {
    await field.fleet.leave(victim);
    field.comeBack(victim, fault.lastsMs);
  },
  "wall-jump": ({ world, counters }, { victim: { process, member }, random }) => {
    if (process === undefined) return;
    const jumpMs = random.range(-WALL_JUMP_MAX_MS, WALL_JUMP_MAX_MS);
    process.wallJumpMs += jumpMs;
    if (jumpMs < 0 && member !== undefined) counters.add("clock-jumped-back");
    world.note(process.name, `its wall clock is ${(process.wallJumpMs / YEAR_MS).toFixed(1)} years off`);
  },
  "wall-strobe": (field, { victim: { process }, fault, random }) => {
    if (process === undefined) return;
    const endMs = field.world.nowMs + fault.lastsMs;
    const jumpMs = random.range(1, WALL_JUMP_MAX_MS);
    const everyMs = random.range(STROBE_MIN_MS, STROBE_MAX_MS);
    const beat = (direction: number): void => {
      process.wallJumpMs += direction * jumpMs;
      if (field.world.nowMs < endMs) field.later(everyMs, () => beat(-direction));
    };
    beat(1);
  },
};
