/*
 * The nemesis: does what the fault plan says, and undoes all of it in the end.
 */
import type { Fault } from "../plan/draw-faults.ts";
import type { FaultKind } from "../plan/fault-kinds.ts";
import { AIMED_HANDLERS } from "./aimed-faults.ts";
import { DAMAGE_HANDLERS, HALTING_HANDLERS } from "./damage-faults.ts";
import { DEVICE_HANDLERS } from "./device-faults.ts";
import { type FaultHandler, Field, type FieldOptions } from "./field.ts";
import { NETWORK_HANDLERS } from "./network-faults.ts";
import { PROCESS_HANDLERS } from "./process-faults.ts";

const HANDLERS: Readonly<Record<FaultKind, FaultHandler>> = {
  ...PROCESS_HANDLERS,
  ...NETWORK_HANDLERS,
  ...DEVICE_HANDLERS,
  ...AIMED_HANDLERS,
  ...DAMAGE_HANDLERS,
  ...HALTING_HANDLERS,
  "roll-back-device": (field, { fault }) => {
    const image = field.disk.medium.image();
    field.later(fault.lastsMs, () => {
      field.disk.medium.restore(image);
      field.atlas.rolledBack();
      field.world.note("", "the device goes back to what it held before");
    });
  },
};

/** Strikes. */
export class Nemesis {
  readonly #field: Field;

  constructor(options: FieldOptions) {
    this.#field = new Field(options);
  }

  /** Arms every fault of a plan. */
  start(faults: readonly Fault[]): void {
    for (const fault of faults) this.#field.later(fault.atMs, () => void this.#strike(fault));
  }

  /**
   * Ends all faults: links open, disks answer, paused processes go on, dead ones come back. After errors of the disk every
   * process is started afresh, as an operator would: one whose record could not be written never serves again.
   */
  heal(): void {
    const { fleet, network, disk, atlas } = this.#field;
    this.#field.end();
    network.heal();
    disk.heal();
    const isAfresh = this.#field.hasDeviceFailed || atlas.hasLied;
    for (const host of fleet.hosts) {
      if (isAfresh) fleet.kill(host);
      host.process?.resume();
      fleet.start(host);
    }
  }

  async #strike(fault: Fault): Promise<void> {
    const { world, counters } = this.#field;
    counters.add(`fault ${fault.kind}`);
    world.note("", `fault: ${fault.id} for ${fault.lastsMs.toFixed(0)} ms`);
    const random = world.random(`fault/${fault.id}`);
    const victim = this.#field.host(fault.choice);
    await HANDLERS[fault.kind](this.#field, { fault, random, victim });
  }
}
