/*
 * What a server looks at by itself: whether it was superseded, since nobody may talk to it, and whether its device
 * answers. The heartbeats of its sessions are not its device's: without this a server whose device stands still would look
 * alive for ever, and no member would look for another one. The leadership notices records and checks that do not end; here
 * are the other requests, on a device that reads but does not write any more.
 *
 * And whether its own member comes. Without it what the dead left cannot be replayed, and where it held locks before nobody
 * gets one: a server that others reach, but its own process does not, would keep everybody waiting without end. All
 * times are counted in looks, so that a process that stood still is not taken for one that waited.
 */
import type { Cancel, Clock } from "@holdfast/environment";
import { DeviceStalledError, type Leadership } from "@holdfast/quorum";
import { OwnAddressError } from "../errors.ts";
import type { MemberTiming } from "../timing.ts";
import type { DeviceWatch } from "./device-watch.ts";

/** What a watchdog needs. */
export interface WatchdogOptions {
  readonly clock: Clock;
  readonly timing: Pick<MemberTiming, "watchMs" | "memberTimeoutMs" | "quorum">;
  /** Sees what this server writes beside its records. */
  readonly watch: DeviceWatch;
  readonly leadership: Pick<Leadership, "term" | "check">;
  /** Where members, this server's own one too, dial it. */
  readonly address: string;
  /** True while its own member is expected and has no connection. */
  readonly isOwnMissing: () => boolean;
  /** The reign is over. */
  readonly onEnd: (error: unknown) => void;
}

/** Watches one reign. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #cancel: Cancel = () => {};
  #isChecking = false;
  #isStopped = false;
  /** Looks in a row that found the own member missing. */
  #missingTicks = 0;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  /** Begins to look. */
  start(): void {
    this.#arm();
  }

  /** Looks at nothing any more. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #arm(): void {
    if (this.#isStopped) return;
    const { clock, timing } = this.#options;
    this.#cancel = clock.at(clock.now() + timing.watchMs, () => this.#look());
  }

  #look(): void {
    const { timing, watch, leadership, address, isOwnMissing, onEnd } = this.#options;
    watch.tick();
    const stallMs = watch.waitingTicks * timing.watchMs;
    if (stallMs >= timing.quorum.deviceStallMs)
      return onEnd(new DeviceStalledError(leadership.term, timing.quorum.deviceStallMs));
    this.#missingTicks = isOwnMissing() ? this.#missingTicks + 1 : 0;
    // It reads the device to find the address: one that stands still is told as such first.
    const patienceMs = timing.memberTimeoutMs + timing.quorum.deviceStallMs;
    if (this.#missingTicks * timing.watchMs >= patienceMs)
      return onEnd(new OwnAddressError(leadership.term, address, patienceMs));
    if (!this.#isChecking) {
      this.#isChecking = true;
      leadership.check().then(
        () => {
          this.#isChecking = false;
        },
        (error: unknown) => onEnd(error),
      );
    }
    this.#arm();
  }
}
