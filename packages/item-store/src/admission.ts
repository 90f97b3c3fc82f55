/*
 * Makes sure, before a transaction is written, of the blocks that writing its items out will take.
 *
 * So a volume that fills up refuses new values while what was accepted can still be flushed: locks are given up when
 * they are called in, and everybody reads on. Deletions are let in without, since they are what empties a volume; they
 * live on the spare blocks that every other transaction leaves.
 */
import type { Clock } from "@holdfast/environment";
import type { StorePool } from "./ports.ts";
import { Shortage } from "./shortage.ts";

/** What an admission works with. */
export interface AdmissionOptions {
  readonly space: StorePool;
  readonly clock: Clock;
  /** Throws if the store has ended. */
  check(): void;
}

/** Asks for blocks ahead of what is written. */
export class Admission {
  readonly #space: StorePool;
  readonly #shortage: Shortage;
  #asking: Promise<void> | undefined;

  constructor(options: AdmissionOptions) {
    this.#space = options.space;
    this.#shortage = new Shortage(options.clock, () => options.check());
  }

  /**
   * Resolves when `blocks` blocks are at hand.
   *
   * @throws what a full volume says; asking goes on in the background, so that later transactions find out.
   */
  async admit(blocks: number): Promise<void> {
    while (!this.isAdmitted(blocks)) {
      this.#asking ??= this.#ask(blocks);
      await this.#shortage.briefly(this.#asking);
    }
  }

  /** True if so many blocks are at hand. */
  isAdmitted(blocks: number): boolean {
    return this.#space.freeBlocks >= blocks;
  }

  /** Resolves when nothing is being asked for; the store has ended, or it would go on for ever. */
  async ended(): Promise<void> {
    this.#shortage.hurry();
    await this.#asking?.catch(() => {});
  }

  #ask(blocks: number): Promise<void> {
    const asking = this.#shortage
      .overcome(() => this.#space.ensure(blocks))
      .finally(() => {
        this.#asking = undefined;
      });
    // It may end when nobody waits any more; who asks next gets the error again.
    asking.catch(() => {});
    return asking;
  }
}
