/*
 * Blocks of this member: taken from the server a few MiB at a time, given back when too many lie idle.
 */
import type { Extent, MemberPool } from "@holdfast/alloc-extent";
import type { Logger } from "@holdfast/environment";
import {
  Command,
  EXTENTS_PER_MESSAGE,
  ExtentMessage,
  GiveExtentsRequest,
  TakeExtentRequest,
} from "../protocol.ts";
import { NoSpaceError } from "../server/volume-trees.ts";
import type { ServerLink } from "./server-link.ts";

/** The pool of blocks that a member may write to. */
export class MemberSpace {
  readonly #pool: MemberPool;
  readonly #link: Pick<ServerLink, "operation">;
  readonly #log: Logger;
  #returning: Promise<void> = Promise.resolve();
  #refilling: Promise<void> | undefined;

  constructor(pool: MemberPool, link: Pick<ServerLink, "operation">, log: Logger) {
    this.#pool = pool;
    this.#link = link;
    this.#log = log;
  }

  /** Free blocks at hand. */
  get freeBlocks(): number {
    return this.#pool.freeBlocks;
  }

  /**
   * An extent of at most `blocks`; shorter when the volume is fragmented: use the length it has.
   *
   * @throws {@link NoSpaceError} `ERR_HOLDFAST_NO_SPACE`.
   */
  async take(blocks: number): Promise<Extent> {
    const pooled = this.#pool.take(blocks);
    if (pooled !== undefined && pooled.lengthBlocks === blocks) return pooled;
    if (pooled !== undefined) this.#pool.put(pooled);
    await this.#refill(blocks);
    const taken = this.#pool.take(blocks);
    if (taken === undefined) throw new NoSpaceError(blocks, "this member");
    return taken;
  }

  /** Puts blocks back that no write of this member is under way to. */
  put(extent: Extent): void {
    if (extent.lengthBlocks === 0) return;
    this.#pool.put(extent);
    const surplus = this.#pool.giveBack();
    if (surplus === undefined) return;
    this.#returning = this.#returning
      .then(() => this.#give([surplus]))
      .catch((error: unknown) => {
        // Only the end of the membership gets here, and it is told to everybody else; the blocks go with it.
        this.#log.debug({ event: "extents.not-returned", err: error }, "extents could not be given back");
      });
  }

  /** Gives everything back; for leaving. */
  async drain(): Promise<void> {
    await this.#returning;
    await this.#give(this.#pool.drain());
  }

  /** Asks the server once; a caller that still finds too little uses what there is. */
  async #refill(blocks: number): Promise<void> {
    if (this.#refilling === undefined) {
      const wanted = this.#pool.ask(blocks);
      if (wanted === 0) return;
      this.#refilling = this.#request(wanted).finally(() => {
        this.#refilling = undefined;
      });
    }
    await this.#refilling;
  }

  async #request(blocks: number): Promise<void> {
    let extent: Extent | undefined;
    try {
      const reply = await this.#link.operation(Command.takeExtent, (operation) =>
        TakeExtentRequest.encode({ ...operation, blocks }),
      );
      extent = ExtentMessage.decode(reply);
    } catch (error) {
      // What is left in the pool may do; taking from an empty one says that there is no space.
      if (!(error instanceof NoSpaceError)) throw error;
    } finally {
      this.#pool.answered(extent);
    }
  }

  async #give(extents: readonly Extent[]): Promise<void> {
    for (let from = 0; from < extents.length; from += EXTENTS_PER_MESSAGE) {
      const part = extents.slice(from, from + EXTENTS_PER_MESSAGE);
      await this.#link.operation(Command.giveExtents, (operation) =>
        GiveExtentsRequest.encode({ ...operation, extents: part }),
      );
    }
  }
}
