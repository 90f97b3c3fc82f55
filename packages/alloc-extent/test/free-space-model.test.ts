import { BTree } from "@holdfast/btree";
import { type BlockRef, NO_BLOCK } from "@holdfast/wire-format";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Extent,
  FreeSpace,
  type FreeSpaceCounters,
  type FreeSpaceSnapshot,
  MetadataGrant,
  NO_FREE_SPACE,
} from "../src/index.ts";
import { BlockStore, seededNumbers } from "./block-store.ts";

const BLOCKS = 96;
const BOUNDS: Extent = { start: 0n, lengthBlocks: BLOCKS };
/** Small enough for trees of several levels. */
const PAYLOAD_BYTES_MAX = 212;

/** Every block is in exactly one of these states. "waits" is free, but not to be handed out yet. */
type BlockState = "free" | "used" | "waits" | "commits";

interface Committed {
  readonly root: BlockRef;
  readonly counters: FreeSpaceCounters;
  readonly model: readonly BlockState[];
}

/** Free space beside a model that knows the state of every block. */
class Checked {
  readonly #store = new BlockStore();
  readonly #grant = new MetadataGrant();
  #tree = new BTree(NO_BLOCK, this.#store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  #space = new FreeSpace(this.#tree, BOUNDS, NO_FREE_SPACE);
  #model: BlockState[] = Array.from({ length: BLOCKS }, () => "used");
  #saved: { readonly snapshot: FreeSpaceSnapshot; readonly model: readonly BlockState[] } | undefined;
  #committed: Committed = { root: NO_BLOCK, counters: NO_FREE_SPACE, model: [...this.#model] };
  #inFlight: Committed | undefined;
  #seq = 0n;

  constructor() {
    this.#grant.addGrant({ start: 1000n, lengthBlocks: 2000 });
    this.#grant.commitStarted();
    this.#grant.commitDone();
  }

  async allocate(blocks: number): Promise<void> {
    const fits = runsOf(this.#model, (state) => state !== "used").map((extent) => ({
      extent,
      longest: Math.max(0, ...this.#settledRuns(extent)),
    }));
    const longest = Math.max(0, ...fits.map((fit) => fit.longest));
    const taken = await this.#space.allocate(blocks);
    expect(taken?.lengthBlocks ?? 0).toBe(Math.min(blocks, longest));
    if (taken === undefined) return;
    const states = new Set(this.#model.slice(Number(taken.start), Number(taken.start) + taken.lengthBlocks));
    expect(states).toEqual(new Set(["free"]));
    const chosen = fits.find(
      ({ extent }) => extent.start <= taken.start && taken.start < extent.start + BigInt(extent.lengthBlocks),
    );
    const adequate = fits.filter((fit) => fit.longest >= blocks).map(({ extent }) => extent.lengthBlocks);
    expect(chosen?.extent.lengthBlocks).toBe(
      adequate.length > 0 ? Math.min(...adequate) : chosen?.extent.lengthBlocks,
    );
    this.#mark(taken, "used");
  }

  /** Gives blocks back, whatever their state is: only used ones may be. */
  async give(extent: Extent): Promise<void> {
    if (this.#are(extent, ["used"])) {
      await this.#space.add(extent);
      this.#mark(extent, "waits");
    } else {
      await expect(this.#space.add(extent)).rejects.toMatchObject({ code: "ERR_HOLDFAST_EXTENT_OVERLAP" });
    }
  }

  /** Removes blocks, whatever their state is: only free and settled ones may be. */
  async remove(extent: Extent): Promise<void> {
    if (this.#are(extent, ["free"])) {
      await this.#space.remove(extent);
      this.#mark(extent, "used");
    } else {
      await expect(this.#space.remove(extent)).rejects.toMatchObject({ code: "ERR_HOLDFAST_EXTENT_ABSENT" });
    }
  }

  save(): void {
    this.#saved = { snapshot: this.#space.snapshot(), model: [...this.#model] };
  }

  undo(): void {
    if (this.#saved === undefined) return;
    this.#space.restore(this.#saved.snapshot);
    // What a commit settled since the snapshot stays settled.
    const isDone = this.#inFlight === undefined;
    this.#model = this.#saved.model.map((state) => (state === "commits" && isDone ? "free" : state));
  }

  async startCommit(): Promise<void> {
    if (this.#inFlight !== undefined) return;
    this.#seq += 1n;
    expect(this.#grant.availableBlocks).toBeGreaterThanOrEqual(this.#tree.dirtyNodeCount);
    const root = await this.#tree.flush(this.#store.writer(this.#grant), this.#seq);
    this.#space.commitStarted();
    this.#grant.commitStarted();
    // A record settles everything that its tree holds.
    this.#inFlight = {
      root,
      counters: this.#space.counters,
      model: this.#model.map((state) => (state === "used" ? "used" : "free")),
    };
    this.#model = this.#model.map((state) => (state === "waits" ? "commits" : state));
    this.#saved = undefined;
  }

  finishCommit(): void {
    if (this.#inFlight === undefined) return;
    this.#space.commitDone();
    this.#grant.commitDone();
    this.#committed = this.#inFlight;
    this.#inFlight = undefined;
    this.#model = this.#model.map((state) => (state === "commits" ? "free" : state));
  }

  /** Everything in memory is gone; a successor opens what was recorded. Its grant is our own for simplicity. */
  crash(): void {
    if (this.#inFlight !== undefined) return;
    const { root, counters, model } = this.#committed;
    this.#tree = new BTree(root, this.#store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
    this.#space = new FreeSpace(this.#tree, BOUNDS, counters);
    this.#model = [...model];
    this.#saved = undefined;
  }

  async check(): Promise<void> {
    const free: string[] = [];
    for await (const { start, lengthBlocks } of this.#space.extents()) free.push(`${start}+${lengthBlocks}`);
    const expected = runsOf(this.#model, (state) => state !== "used");
    expect(free).toEqual(expected.map(({ start, lengthBlocks }) => `${start}+${lengthBlocks}`));
    const waiting = this.#model.filter((state) => state === "waits" || state === "commits").length;
    expect(this.#space.unsettledBlocks).toBe(waiting);
    expect(this.#space.freeBlocks).toBe(this.#model.filter((state) => state !== "used").length);
    await this.#space.verify();
  }

  #settledRuns(extent: Extent): readonly number[] {
    const start = Number(extent.start);
    const states = this.#model.slice(start, start + extent.lengthBlocks);
    return runsOf(states, (state) => state === "free").map(({ lengthBlocks }) => lengthBlocks);
  }

  #are(extent: Extent, allowed: readonly BlockState[]): boolean {
    const start = Number(extent.start);
    return this.#model.slice(start, start + extent.lengthBlocks).every((state) => allowed.includes(state));
  }

  #mark(extent: Extent, state: BlockState): void {
    this.#model.fill(state, Number(extent.start), Number(extent.start) + extent.lengthBlocks);
  }
}

function runsOf(model: readonly BlockState[], matches: (state: BlockState) => boolean): Extent[] {
  const runs: Extent[] = [];
  let start = 0;
  for (let block = 0; block <= model.length; block += 1) {
    const state = model[block];
    if (state !== undefined && matches(state)) continue;
    if (block > start) runs.push({ start: BigInt(start), lengthBlocks: block - start });
    start = block + 1;
  }
  return runs;
}

type Step = (space: Checked) => Promise<void> | void;

function steps(): fc.Arbitrary<Step> {
  const extents = fc
    .tuple(fc.nat(BLOCKS - 1), fc.integer({ min: 1, max: 24 }))
    .map(([start, length]) => ({ start: BigInt(start), lengthBlocks: Math.min(length, BLOCKS - start) }));
  return fc.oneof(
    {
      arbitrary: fc.integer({ min: 1, max: 20 }).map(
        (blocks): Step =>
          (space) =>
            space.allocate(blocks),
      ),
      weight: 5,
    },
    {
      arbitrary: extents.map(
        (extent): Step =>
          (space) =>
            space.give(extent),
      ),
      weight: 6,
    },
    {
      arbitrary: extents.map(
        (extent): Step =>
          (space) =>
            space.remove(extent),
      ),
      weight: 2,
    },
    { arbitrary: fc.constant<Step>((space) => space.save()), weight: 1 },
    { arbitrary: fc.constant<Step>((space) => space.undo()), weight: 1 },
    { arbitrary: fc.constant<Step>((space) => space.startCommit()), weight: 2 },
    { arbitrary: fc.constant<Step>((space) => space.finishCommit()), weight: 2 },
    { arbitrary: fc.constant<Step>((space) => space.crash()), weight: 1 },
  );
}

test("every block is free, used or waiting, through allocations, frees, undone transactions, commits and crashes", async () => {
  const property = fc.asyncProperty(fc.array(steps(), { maxLength: 50, size: "max" }), async (all) => {
    const space = new Checked();
    for (const step of all) {
      await step(space);
      await space.check();
    }
  });

  await expect(fc.assert(property, { numRuns: 40 })).resolves.toBeUndefined();
});

const seed = Number(process.env["SEED"] ?? 20_261_121);

test(`a storm of allocations and frees keeps the counters exact and ends with one extent (SEED=${seed})`, async () => {
  const below = seededNumbers(seed);
  const bounds: Extent = { start: 10n, lengthBlocks: 50_000 };
  const tree = new BTree(NO_BLOCK, new BlockStore());
  const space = new FreeSpace(tree, bounds, NO_FREE_SPACE);
  await space.add(bounds);
  commit();
  const used: Extent[] = [];
  let usedBlocks = 0;

  for (let step = 0; step < 3000; step += 1) {
    await (below(5) < 3 ? take(1 + below(60)) : give());
    if (below(40) === 0) commit();
    expect(space.freeBlocks).toBe(bounds.lengthBlocks - usedBlocks);
  }
  await space.verify();
  while (used.length > 0) await give();
  commit();

  expect(space.counters).toMatchObject({ freeBlocks: 50_000, extentCount: 1 });
  await space.verify();

  async function take(blocks: number): Promise<void> {
    const taken = await space.allocate(blocks);
    if (taken === undefined) return;
    used.push(taken);
    usedBlocks += taken.lengthBlocks;
  }

  async function give(): Promise<void> {
    const [freed] = used.splice(below(Math.max(used.length, 1)), 1);
    if (freed === undefined) return;
    await space.add(freed);
    usedBlocks -= freed.lengthBlocks;
  }

  function commit(): void {
    space.commitStarted();
    space.commitDone();
  }
});
