/*
 * A small world for item stores: a device in memory, one server that knows manifest and space, and locks with real
 * conflicts between members. Everything is complete for what it is; nothing pretends.
 */
import {
  BLOCK_BYTES,
  type BrokenRules,
  type Clock,
  HoldfastError,
  NO_BROKEN_RULES,
  blockOffset,
} from "@holdfast/environment";
import { ManifestView } from "@holdfast/compaction";
import { SegmentReader, type SegmentRef, SegmentWriter, mergeCursors } from "@holdfast/segment";
import { FIRST_KEY, type Key, type KeyRange, LAST_KEY } from "@holdfast/wire-format";
import {
  ItemStore,
  type ItemStoreOptions,
  type JournalRegion,
  type StoreExtent,
  type StorePorts,
  replayJournal,
  userKey,
  writeSegments,
} from "../src/index.ts";
import { MemoryDevice, SeededRandom, WaitingClock } from "./simulated-ports.ts";
import { Locks } from "./world-locks.ts";

export const FSID = 0x1234n;
export const DATASET = 7n;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The bytes of a text. */
export function text(value: string): Uint8Array {
  return encoder.encode(value);
}

/** The text of some bytes. */
export function fromText(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : decoder.decode(value);
}

/** A user key of the test's dataset. */
export function key(name: string): Key {
  return userKey(DATASET, text(name));
}

interface Manifest {
  readonly version: bigint;
  readonly refs: readonly SegmentRef[];
  readonly view: ManifestView;
}

/** The server: manifest, space, segment ids, recorded epochs, evictions. */
export class Server {
  readonly device: MemoryDevice;
  readonly clock: Clock = new WaitingClock();
  manifest: Manifest = { version: 1n, refs: [], view: ManifestView.EMPTY };
  readonly recordedEpochs: Map<bigint, bigint> = new Map();
  readonly evicted: Set<bigint> = new Set();
  readonly locks: Locks = new Locks();
  /** True: nobody gets a block. */
  isFull = false;
  fullCode: FullCode = "ERR_HOLDFAST_NO_SPACE";
  /** No run of blocks that is given out is longer. */
  runBlocksMax = Infinity;
  /** How often blocks were asked for. */
  takeCount = 0;
  #free: StoreExtent[];
  #segmentCount = 0n;
  #orderCount = 0n;

  constructor(sizeBytes: number = 48 * 1024 * 1024) {
    this.device = new MemoryDevice(sizeBytes);
    this.#free = [{ start: 1n, lengthBlocks: sizeBytes / BLOCK_BYTES - 1 }];
  }

  /** Blocks that nobody has. */
  get freeBlocks(): number {
    return this.#free.reduce((sum, { lengthBlocks }) => sum + lengthBlocks, 0);
  }

  take(blocks: number, isPledged = false): StoreExtent {
    this.takeCount += 1;
    if (this.isFull && !isPledged) throw new FullForTest(this.fullCode);
    const found = this.#free.find(({ lengthBlocks }) => lengthBlocks >= blocks) ?? this.#free[0];
    if (found === undefined) throw new FullForTest(this.fullCode);
    this.#free = this.#free.filter((extent) => extent !== found);
    const lengthBlocks = Math.min(blocks, found.lengthBlocks, this.runBlocksMax);
    if (lengthBlocks < found.lengthBlocks)
      this.put({
        start: found.start + BigInt(lengthBlocks),
        lengthBlocks: found.lengthBlocks - lengthBlocks,
      });
    return { start: found.start, lengthBlocks };
  }

  /** Freed space is used again as soon as possible, so that stale readers are found out. */
  put(extent: StoreExtent): void {
    this.#free.unshift(extent);
  }

  nextSegmentId(): bigint {
    this.#segmentCount += 1n;
    return this.#segmentCount;
  }

  record(segments: readonly SegmentRef[], rid: bigint, epoch: bigint): void {
    this.recordedEpochs.set(rid, epoch);
    const refs = segments.map((ref) => {
      this.#orderCount += 1n;
      return { ...ref, order: this.#orderCount };
    });
    this.#publish([...this.manifest.refs, ...refs]);
  }

  /** Merges all segments into level 1 and overwrites the space of the old ones. */
  async compact(): Promise<void> {
    const { refs, view } = this.manifest;
    if (refs.length === 0) return;
    const whole = { start: FIRST_KEY, end: LAST_KEY };
    const readers = await Promise.all(
      view.sourcesIn(whole).map((ref) => SegmentReader.open(this.device, FSID, ref)),
    );
    const merged = mergeCursors(
      readers.map((reader) => reader.cursor(whole)),
      { dropTombstones: true },
    );
    const outputs: SegmentRef[] = [];
    let hasItem = await merged.next();
    while (hasItem) {
      const writer = new SegmentWriter({
        device: this.device,
        fsid: FSID,
        writer: 1n,
        term: 1n,
        id: this.nextSegmentId(),
        level: 1,
        extent: this.take(64),
      });
      while (hasItem && writer.add(merged.key, merged.seq, merged.value)) hasItem = await merged.next();
      outputs.push(await writer.finish());
      if (writer.unused !== undefined) this.put(writer.unused);
    }
    this.#publish(outputs);
    for (const { extent } of refs) {
      const offset = Number(blockOffset(extent.start));
      this.device.bytes.fill(0xee, offset, offset + extent.lengthBlocks * BLOCK_BYTES);
      this.put(extent);
    }
  }

  /** What a server does with a dead member: evict it, replay its journal, give its locks back. */
  async bury(rid: bigint, region: JournalRegion): Promise<void> {
    this.evicted.add(rid);
    const sinceEpoch = this.recordedEpochs.get(rid) ?? 0n;
    const { device } = this;
    const { table, lastEpoch } = await replayJournal({ device, fsid: FSID, rid, region, sinceEpoch });
    const segments = await writeSegments(table, {
      device,
      fsid: FSID,
      rid: 1n,
      clock: this.clock,
      space: { take: async (blocks) => this.take(blocks), put: (extent) => this.put(extent) },
      term: () => 1n,
      nextSegmentId: () => this.nextSegmentId(),
    });
    this.record(segments, rid, lastEpoch);
    this.locks.forget(rid);
  }

  #publish(refs: readonly SegmentRef[]): void {
    this.manifest = { version: this.manifest.version + 1n, refs, view: ManifestView.of(refs) };
  }
}

/** One member: its store, its journal, and what its ports can be made to do. */
export interface Member {
  readonly rid: bigint;
  readonly store: ItemStore;
  readonly journal: JournalRegion;
  /** Replaces the check after a journal write. */
  checkCommitted: () => Promise<void>;
  /** Called before segments are recorded; may wait or fail. */
  beforeRecord: (epoch: bigint) => Promise<void>;
  /** Blocks that are this member's whether the server is full or not; Infinity: it never looks, and may be surprised. */
  pledgedBlocks: number;
  /** False: cached locks may have been given to others; a renewal makes it true. */
  isLeaseValid: boolean;
  renewalCount: number;
  checkCount: number;
  recordCount: number;
  refreshCount: number;
}

/** What a server says that has no blocks left. */
export class FullForTest extends HoldfastError<FullCode, Record<string, never>> {
  constructor(code: FullCode) {
    super(code, "retry", "the test's device is full", {});
  }
}

/** Why it has none. */
export type FullCode = "ERR_HOLDFAST_NO_SPACE" | "ERR_HOLDFAST_SPACE_QUARANTINED";

export class EvictedForTest extends Error {}

/** Opens a store of a new member. */
export function openMember(
  server: Server,
  rid: bigint,
  options: Partial<ItemStoreOptions> & {
    halfBlocks?: number;
    brokenRules?: BrokenRules;
    pledgedBlocks?: number;
  } = {},
): Member {
  const halfBlocks = options.halfBlocks ?? 64;
  const journal = { first: server.take(halfBlocks), second: server.take(halfBlocks) };
  let known = server.manifest;
  const ports: StorePorts = {
    device: server.device,
    fsid: FSID,
    rid,
    clock: server.clock,
    random: new SeededRandom(Number(rid)),
    locks: server.locks.port(rid),
    lease: {
      get isValid() {
        return member.isLeaseValid;
      },
      async valid() {
        await server.clock.yield();
        member.renewalCount += 1;
        member.isLeaseValid = true;
      },
    },
    space: {
      get freeBlocks() {
        return member.pledgedBlocks;
      },
      async ensure(blocks) {
        if (server.isFull) throw new FullForTest(server.fullCode);
        member.pledgedBlocks = Math.max(member.pledgedBlocks, blocks);
      },
      async take(blocks) {
        const isPledged = Number.isFinite(member.pledgedBlocks) && member.pledgedBlocks >= blocks;
        if (isPledged) member.pledgedBlocks -= blocks;
        return server.take(blocks, isPledged);
      },
      put(extent) {
        member.pledgedBlocks += extent.lengthBlocks;
        server.put(extent);
      },
    },
    manifest: () => known,
    async refreshManifest() {
      await Promise.resolve();
      member.refreshCount += 1;
      known = server.manifest;
    },
    async checkCommitted() {
      member.checkCount += 1;
      await member.checkCommitted();
    },
    async recordSegments(segments, epoch) {
      await member.beforeRecord(epoch);
      if (server.evicted.has(rid)) throw new EvictedForTest("evicted");
      member.recordCount += 1;
      server.record(segments, rid, epoch);
      known = server.manifest;
    },
    nextSegmentId: () => server.nextSegmentId(),
    term: () => 1n,
    brokenRules: options.brokenRules ?? NO_BROKEN_RULES,
  };
  const member: Member = {
    rid,
    journal,
    store: new ItemStore(ports, { ...options, journal }),
    checkCommitted: async () => {
      if (server.evicted.has(rid)) throw new EvictedForTest("evicted");
    },
    beforeRecord: async () => {},
    pledgedBlocks: options.pledgedBlocks ?? Infinity,
    isLeaseValid: true,
    renewalCount: 0,
    checkCount: 0,
    recordCount: 0,
    refreshCount: 0,
  };
  server.locks.join(rid, member.store, () => {
    known = server.manifest;
  });
  return member;
}

/** All items of the test's dataset as texts. */
export async function contents(
  store: ItemStore,
  range: KeyRange,
  options: Parameters<ItemStore["scan"]>[1] = {},
): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for await (const page of store.scan(range, options)) {
    for (const item of page)
      found.push([
        decoder.decode(item.key.subarray(10, 10 + (item.key[31] ?? 0))),
        decoder.decode(item.value),
      ]);
  }
  return found;
}
