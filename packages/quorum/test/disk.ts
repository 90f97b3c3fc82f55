/*
 * A set of blocks in memory for driving machines by hand: the reads and writes of one machine at a time, done at once.
 */
import {
  type BlocksRead,
  type CommitRecord,
  formatQuorum,
  type IoEffect,
  type IoEvent,
  lastTerm,
  type QuorumRegion,
  recordBlock,
  sealMark,
  sealRecord,
  splitterBlock,
} from "../src/index.ts";

export function regionOf(termsMax: number): QuorumRegion {
  const blocks = 2n * BigInt(termsMax);
  return {
    fsid: 0xfeedn,
    hintsBlock: 10n,
    hintsCount: 4,
    slotsBlock: 100n,
    termsMax,
    termBase: 0n,
    generation: 0,
    recordsBlock: 1000n + blocks,
    recordsCopyBlock: 100_000n + blocks,
  };
}

export const FIRST_PAYLOAD: Uint8Array = new Uint8Array([7]);

/** What a device would hold. */
export class Disk {
  readonly region: QuorumRegion;
  readonly blocks: Map<bigint, Uint8Array>;
  /** Blocks whose reads fail, as a device reports it. */
  readonly badBlocks: Set<bigint> = new Set();
  /** Reads and writes so far; ranges read together count once. */
  readonly log: string[] = [];

  /** @param blocks - What it holds; default: what mkfs writes. */
  constructor(region: QuorumRegion, blocks?: ReadonlyMap<bigint, Uint8Array>) {
    this.region = region;
    this.blocks = new Map(blocks);
    if (blocks !== undefined) return;
    for (const { address, block } of formatQuorum(region, FIRST_PAYLOAD)) this.blocks.set(address, block);
  }

  at(address: bigint): Uint8Array {
    const block = this.blocks.get(address);
    if (block === undefined) throw new Error(`no block ${address}`);
    return block;
  }

  perform(effect: IoEffect): IoEvent {
    if (effect.type === "write-block") {
      this.log.push(`write ${effect.address}`);
      this.blocks.set(effect.address, effect.block);
      return { type: "block-written", id: effect.id };
    }
    this.log.push(`read ${effect.ranges.map(({ address, count }) => `${address}+${count}`).join(" ")}`);
    return this.answer(effect);
  }

  answer(effect: Extract<IoEffect, { type: "read-blocks" }>): BlocksRead {
    const blocks = effect.ranges.flatMap(({ address, count }) =>
      Array.from({ length: count }, (_, index) => {
        const block = address + BigInt(index);
        return this.badBlocks.has(block) ? undefined : this.at(block);
      }),
    );
    return { type: "blocks-read", id: effect.id, blocks };
  }

  /** Runs a machine from what its first event returned to its outcome. */
  run<Outcome extends { readonly type: string }>(
    machine: { handle(event: IoEvent): readonly (IoEffect | Outcome)[] },
    first: readonly (IoEffect | Outcome)[],
  ): Outcome {
    let effects = first;
    for (let steps = 0; steps < 1000; steps += 1) {
      const [effect] = effects;
      if (effect === undefined || effects.length !== 1) throw new Error("one effect at a time");
      if (!isIo(effect)) return effect;
      effects = machine.handle(this.perform(effect));
    }
    throw new Error("the machine does not end");
  }

  damage(address: bigint): void {
    const block = this.at(address).slice();
    block[2000] = (block[2000] ?? 0) ^ 0xff;
    this.blocks.set(address, block);
  }

  /** X and, unless told otherwise, Y of a term are set by somebody. */
  touch(term: bigint, options: { readonly withY: boolean } = { withY: true }): void {
    const x = splitterBlock(this.region, term);
    const mark = { claim: 0xabcn, isVoid: false };
    this.blocks.set(x, sealMark(this.region, { address: x, writer: 99n, mark }));
    const y = x + 1n;
    if (options.withY) this.blocks.set(y, sealMark(this.region, { address: y, writer: 99n, mark }));
  }

  touchUpTo(term: bigint): void {
    for (let each = 1n; each <= term && each <= lastTerm(this.region); each += 1n) this.touch(each);
  }

  putRecord(
    record: CommitRecord,
    place: { readonly half: bigint; readonly copies: readonly (0 | 1)[] },
  ): void {
    for (const copy of place.copies) {
      const block = recordBlock(this.region, record.term, copy) + place.half;
      this.blocks.set(block, sealRecord(record, { fsid: this.region.fsid, block }));
    }
  }
}

function isIo<Outcome extends { readonly type: string }>(
  effect: IoEffect | Outcome,
): effect is Extract<IoEffect, { type: "read-blocks" | "write-block" }> {
  return effect.type === "read-blocks" || effect.type === "write-block";
}

export function recordOf(term: bigint, seq: bigint): CommitRecord {
  return {
    term,
    seq,
    writer: 99n,
    address: "tcp://127.0.0.1:1",
    payload: new Uint8Array([Number(term), Number(seq)]),
  };
}
