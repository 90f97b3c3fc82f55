/*
 * Tells once when much of a volume is in quarantine, and once when it is not any more (reference: reliability F8).
 */
import { isQuarantineAlarming, type QuarantineTotals } from "@holdfast/alloc-extent";
import type { Logger } from "@holdfast/environment";

/** The alarm of one server. */
export class QuarantineAlarm {
  readonly #volumeBlocks: number;
  readonly #log: Logger;
  #isRaised = false;

  constructor(volumeBlocks: number, log: Logger) {
    this.#volumeBlocks = volumeBlocks;
    this.#log = log;
  }

  /** A commit says that so much is in quarantine. */
  recorded(totals: QuarantineTotals): void {
    const isAlarming = isQuarantineAlarming(totals, this.#volumeBlocks);
    if (isAlarming === this.#isRaised) return;
    this.#isRaised = isAlarming;
    const { blocks } = totals;
    const facts = { blocks, volumeBlocks: this.#volumeBlocks };
    if (isAlarming)
      this.#log.warn({ event: "quarantine.alarm", ...facts }, "much of the volume is in quarantine");
    else
      this.#log.info({ event: "quarantine.alarm-over", ...facts }, "little of the volume is in quarantine");
  }
}
