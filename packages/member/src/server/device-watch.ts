/*
 * Notices that the device does not write any more.
 *
 * Reads are not counted: a sector that takes long to give up is slow for every server, and no reason to change it.
 *
 * Time is counted in ticks of whoever watches, not by a clock: a process that stood still finds its requests unanswered
 * when it wakes up, and that says nothing about the device. In each tick the process was awake, and could have heard.
 */
import type { BlockDevice } from "@holdfast/environment";

interface Pending {
  readonly tick: number;
}

/** Watches the writes of one device. */
export class DeviceWatch {
  /** The device, watched. */
  readonly device: BlockDevice;
  readonly #pending: Set<Pending> = new Set();
  #tick = 0;

  constructor(device: BlockDevice) {
    this.device = {
      url: device.url,
      sizeBytes: device.sizeBytes,
      sectorBytes: device.sectorBytes,
      isLocal: device.isLocal,
      read: (offset, into) => device.read(offset, into),
      write: (offset, bytes, options) => this.#watch(device.write(offset, bytes, options)),
      flush: () => this.#watch(device.flush()),
      close: () => device.close(),
    };
  }

  /** Some time has passed in which this process was awake. */
  tick(): void {
    this.#tick += 1;
  }

  /** How many ticks the oldest write waits; 0 when none does. */
  get waitingTicks(): number {
    // In the order they were made.
    const [oldest] = this.#pending;
    return oldest === undefined ? 0 : this.#tick - oldest.tick;
  }

  #watch<T>(request: Promise<T>): Promise<T> {
    const pending = { tick: this.#tick };
    this.#pending.add(pending);
    return request.finally(() => this.#pending.delete(pending));
  }
}
