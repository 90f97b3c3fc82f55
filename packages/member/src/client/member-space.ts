/*
 * Blocks of this member: taken from the server a few MiB at a time, given back when too many lie idle.
 */
import type { Extent, MemberPool } from "@holdfast/alloc-extent";
import { type Logger, Mutex } from "@holdfast/environment";
import {
  Command,
  EXTENTS_PER_MESSAGE,
  ExtentMessage,
  GiveExtentsRequest,
  TakeExtentRequest,
} from "../protocol.ts";
import { NoSpaceError, type NoSpaceErrorCode } from "../server/volume-trees.ts";
import type { ServerLink } from "./server-link.ts";

/** Blocks asked for at least when there is to be more at hand: 1 MiB. */
const LEAST_ASKED_BLOCKS = 256;

/** The pool of blocks that a member may write to. */
export class MemberSpace {
  readonly #pool: MemberPool;
  readonly #link: Pick<ServerLink, "operation">;
  readonly #log: Logger;
  #returning: Promise<void> = Promise.resolve();
  /** What the server said last when it had nothing. */
  #shortage: NoSpaceErrorCode = "ERR_HOLDFAST_NO_SPACE";
  /** One asks at a time, so that none gets what another one asked for. */
  readonly #asking: Mutex = new Mutex();

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
    return this.#takeWhole(blocks) ?? (await this.#asking.run(() => this.#askFor(blocks)));
  }

  /**
   * Resolves when at least `blocks` blocks were at hand, in runs of any length. Asks for as many again, so that a need that
   * grows bit by bit asks seldom, and for less than a refill, which is much of a small volume.
   *
   * @throws {@link NoSpaceError} `ERR_HOLDFAST_NO_SPACE`.
   */
  async ensure(blocks: number): Promise<void> {
    if (this.freeBlocks < blocks) await this.#asking.run(() => this.#fillUp(blocks));
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

  #takeWhole(blocks: number): Extent | undefined {
    const pooled = this.#pool.take(blocks);
    if (pooled === undefined || pooled.lengthBlocks === blocks) return pooled;
    this.#pool.put(pooled);
    return undefined;
  }

  /** Asks the server for one extent; when it has less, what there is must do. */
  async #askFor(blocks: number): Promise<Extent> {
    // Who asked before may have left enough.
    const pooled = this.#takeWhole(blocks);
    if (pooled !== undefined) return pooled;
    const taken = await this.#refill(blocks);
    if (taken === undefined) throw new NoSpaceError(blocks, "this member", this.#shortage);
    return taken;
  }

  /** Resolves with what was wanted, or the best there is; no await between the answer and that. */
  async #refill(wantedBlocks: number): Promise<Extent | undefined> {
    await this.#request(this.#pool.ask(wantedBlocks));
    return this.#pool.take(wantedBlocks);
  }

  async #fillUp(blocks: number): Promise<void> {
    while (this.freeBlocks < blocks) {
      const missing = blocks - this.freeBlocks;
      // No run is as long as this, so the pool lets ask in any case.
      const most = this.#pool.ask(this.freeBlocks + 1);
      const more = Math.min(most, Math.max(blocks, LEAST_ASKED_BLOCKS));
      const extent = await this.#request(Math.max(missing, more));
      if (extent === undefined) throw new NoSpaceError(missing, "this member", this.#shortage);
    }
  }

  /** Asks the server, and puts what it gives into the pool; undefined when it has nothing. */
  async #request(blocks: number): Promise<Extent | undefined> {
    let extent: Extent | undefined;
    try {
      const reply = await this.#link.operation(Command.takeExtent, (operation) =>
        TakeExtentRequest.encode({ ...operation, blocks }),
      );
      extent = ExtentMessage.decode(reply);
    } catch (error) {
      if (!(error instanceof NoSpaceError)) throw error;
      this.#shortage = error.code;
    } finally {
      this.#pool.answered(extent);
    }
    return extent;
  }

  async #give(extents: readonly Extent[]): Promise<void> {
    for (let from = 0; from < extents.length; from += EXTENTS_PER_MESSAGE) {
      const part = extents.slice(from, from + EXTENTS_PER_MESSAGE);
      await this.#link.operation(Command.giveExtents, (operation) =>
        GiveExtentsRequest.encode({ ...operation, extents: part, mayBeWritten: false }),
      );
    }
  }
}
