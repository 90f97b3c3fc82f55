import { BTree } from "@holdfast/btree";
import type { Clock } from "@holdfast/environment";
import {
  SEGMENT_BLOCKS_MIN,
  SegmentReader,
  SegmentWriter,
  concatenateCursors,
  mergeCursors,
} from "@holdfast/segment";
import { FIRST_KEY, type Key, LAST_KEY, NO_BLOCK, crc32c, toHex } from "@holdfast/wire-format";
import {
  type CompactionJob,
  type CompactionLimits,
  type CompactionPlan,
  type CompactionPorts,
  Manifest,
  ManifestView,
  applyResult,
  jobOf,
  planCompaction,
  rangeOf,
  runCompaction,
} from "../src/index.ts";
import { MemoryDevice } from "./memory-device.ts";

export const FSID = 0xf51dn;

/** A clock whose milliseconds pass one per look, so that workers find themselves due. */
export function tickingClock(): Clock & { yieldCount: number } {
  let now = 0;
  const clock = {
    yieldCount: 0,
    now: () => (now += 1),
    wallMs: () => 0,
    at: () => () => {},
    yield: async () => {
      clock.yieldCount += 1;
    },
  };
  return clock;
}

export interface Write {
  readonly key: Key;
  readonly seq: bigint;
  readonly value: Uint8Array | undefined;
}

/** A store in miniature: a manifest, segments, compaction, and no locks. */
export class Store {
  readonly device: MemoryDevice = new MemoryDevice();
  readonly manifest: Manifest = new Manifest(
    new BTree(NO_BLOCK, { read: () => Promise.reject(new Error("nothing was flushed")) }),
  );
  readonly ports: CompactionPorts = {
    device: this.device,
    fsid: FSID,
    rid: 0xabcn,
    term: 1n,
    clock: tickingClock(),
  };
  readonly cursors: Map<number, Key> = new Map();
  readonly busyIds: Set<bigint> = new Set();
  #nextId = 1n;
  #nextBlock = 1n;

  /** Writes one level-0 segment of sorted items and records it. */
  async record(items: readonly Write[]): Promise<void> {
    const lengthBlocks = SEGMENT_BLOCKS_MIN * 3 + Math.ceil(items.length / 20);
    const { device, fsid, rid: writer, term } = this.ports;
    const out = new SegmentWriter({
      device,
      fsid,
      writer,
      term,
      id: this.newId(),
      level: 0,
      extent: this.allocate(lengthBlocks),
    });
    for (const { key, seq, value } of items)
      if (!out.add(key, seq, value)) throw new Error("the test's items do not fit");
    await this.manifest.add(await out.finish());
  }

  async plan(limits: CompactionLimits): Promise<CompactionPlan | undefined> {
    return planCompaction(await this.manifest.view(), this.busyIds, this.cursors, limits);
  }

  /** Gives a plan out as a job. With `pieceBlocks`, in extents of that length, so that there are many segments. */
  start(plan: CompactionPlan, pieceBlocks?: number): CompactionJob {
    this.cursors.set(plan.upperLevel, plan.nextCursor);
    for (const { id } of [...plan.upper, ...plan.lower]) this.busyIds.add(id);
    const wanted = plan.outputBlocks.reduce((sum, blocks) => sum + blocks, 0);
    const lengths =
      pieceBlocks === undefined
        ? plan.outputBlocks
        : // A piece may stay empty by one of the tests' largest items, with the index and filter that it would need.
          Array.from({ length: Math.ceil(wanted / (pieceBlocks - 8)) }, () => pieceBlocks);
    const outputs = lengths.map((blocks) => ({ id: this.newId(), extent: this.allocate(blocks) }));
    return jobOf(plan, this.newId(), outputs);
  }

  /** Does a job and applies its result. */
  async complete(job: CompactionJob): Promise<void> {
    const result = await runCompaction(job, this.ports);
    await applyResult(this.manifest, job, result);
    for (const { id } of [...job.upper, ...job.lower]) this.busyIds.delete(id);
  }

  /** Everything that a reader sees, as text per key. */
  async content(): Promise<Map<string, string>> {
    const view = await this.manifest.view();
    const cursors = view
      .runsIn({ start: FIRST_KEY, end: LAST_KEY })
      .map((run) =>
        concatenateCursors(
          run.map(
            (ref) => async () => (await SegmentReader.open(this.device, FSID, ref)).cursor(rangeOf(ref)),
          ),
        ),
      );
    const merged = mergeCursors(cursors, { dropTombstones: true });
    const content = new Map<string, string>();
    while (await merged.next()) content.set(toHex(merged.key), textOf(merged.value));
    return content;
  }

  /** What a reader of one key sees: the first source that knows it. */
  async get(view: ManifestView, key: Key): Promise<string | undefined> {
    for (const ref of view.sourcesFor(key)) {
      const item = await (await SegmentReader.open(this.device, FSID, ref)).get(key);
      if (item !== undefined) return item.value === undefined ? undefined : textOf(item.value);
    }
    return undefined;
  }

  newId(): bigint {
    this.#nextId += 1n;
    return this.#nextId;
  }

  /** Blocks are never used twice here, so an overwritten input would be noticed. */
  allocate(lengthBlocks: number): { start: bigint; lengthBlocks: number } {
    const start = this.#nextBlock;
    this.#nextBlock += BigInt(lengthBlocks);
    return { start, lengthBlocks };
  }
}

export function textOf(value: Uint8Array | undefined): string {
  return value === undefined ? "deleted" : `${value.length} ${crc32c(value)}`;
}

/** What the test knows to be there. */
export function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the test expects it to be there");
  return value;
}
