import { type BlockRef, NO_BLOCK, compareBytes, toHex } from "@holdfast/wire-format";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { BTree, type TreeSnapshot } from "../src/index.ts";
import { BlockStore, seededRandom, shapeOf } from "./block-store.ts";

type Contents = Map<string, { readonly key: Uint8Array; readonly value: Uint8Array }>;

interface Model {
  contents: Contents;
  saved: Contents | undefined;
}

interface Real {
  readonly store: BlockStore;
  readonly payloadBytesMax: number;
  tree: BTree;
  saved: TreeSnapshot | undefined;
  seq: bigint;
}

const keys = fc.uint8Array({ minLength: 0, maxLength: 3, max: 12 });
const values = fc.uint8Array({ minLength: 0, maxLength: 44 });

function sorted(contents: Contents): { readonly key: Uint8Array; readonly value: Uint8Array }[] {
  return [...contents.values()].sort((a, b) => compareBytes(a.key, b.key));
}

async function entriesOf(scan: ReturnType<BTree["scan"]>): Promise<[string, string][]> {
  const entries: [string, string][] = [];
  for await (const { key, value } of scan) entries.push([toHex(key), toHex(value)]);
  return entries;
}

function inHex(entries: ReturnType<typeof sorted>): [string, string][] {
  return entries.map(({ key, value }) => [toHex(key), toHex(value)]);
}

type Command = fc.AsyncCommand<Model, Real>;

function putting(entries: readonly (readonly [Uint8Array, Uint8Array])[]): Command {
  return {
    check: () => true,
    async run(model, real) {
      for (const [key, value] of entries) {
        await real.tree.put(key, value);
        model.contents.set(toHex(key), { key, value });
        expect(await real.tree.get(key)).toEqual(value);
      }
    },
    toString: () => `put ${entries.map(([key, value]) => `${toHex(key)}=${value.length}`).join(" ")}`,
  };
}

function deleting(all: readonly Uint8Array[]): Command {
  return {
    check: () => true,
    async run(model, real) {
      for (const key of all) {
        expect(await real.tree.delete(key)).toBe(model.contents.delete(toHex(key)));
        expect(await real.tree.get(key)).toBeUndefined();
      }
    },
    toString: () => `delete ${all.map(toHex).join(" ")}`,
  };
}

function scanning(from: Uint8Array | undefined, to: Uint8Array | undefined, isReverse: boolean): Command {
  return {
    check: () => true,
    async run(model, real) {
      const inside = sorted(model.contents).filter(
        ({ key }) =>
          (from === undefined || compareBytes(from, key) <= 0) &&
          (to === undefined || compareBytes(key, to) <= 0),
      );
      const range = { ...(from && { from }), ...(to && { to }), isReverse };
      const expected = inHex(isReverse ? inside.reverse() : inside);
      expect(await entriesOf(real.tree.scan(range))).toEqual(expected);
    },
    toString: () => `scan ${from && toHex(from)} ${to && toHex(to)} ${isReverse}`,
  };
}

const saving: Command = {
  check: () => true,
  async run(model, real) {
    model.saved = new Map(model.contents);
    real.saved = real.tree.snapshot();
  },
  toString: () => "snapshot",
};

const restoring: Command = {
  check: (model) => model.saved !== undefined,
  async run(model, real) {
    if (real.saved === undefined || model.saved === undefined) throw new Error("nothing was saved");
    real.tree.restore(real.saved);
    model.contents = new Map(model.saved);
  },
  toString: () => "restore",
};

/** Flushes, forgets every block that the flush freed, and goes on from the root alone. */
const reopening: Command = {
  check: () => true,
  async run(model, real) {
    const { store, payloadBytesMax } = real;
    const needed = real.tree.dirtyNodeCount;
    const before = store.writeCount;
    real.seq += 1n;
    const root: BlockRef = await real.tree.flush(store, real.seq);
    expect(store.writeCount - before).toBe(needed);
    store.reclaim();
    const shape = await shapeOf(store, root, payloadBytesMax);
    expect(new Set(shape.addresses)).toEqual(new Set(store.blocks.keys()));
    expect(shape.leastFill).toBeGreaterThanOrEqual(0.25);
    real.tree = new BTree(root, store, { payloadBytesMax });
    // A snapshot belongs to the tree that is gone, and so do the blocks it may reach.
    [real.saved, model.saved] = [undefined, undefined];
    expect(await entriesOf(real.tree.scan())).toEqual(inHex(sorted(model.contents)));
  },
  toString: () => "reopen",
};

test("a tree holds what a sorted map holds, through snapshots, flushes and reopening, and leaks no block", async () => {
  const bounds = fc.option(keys, { nil: undefined });
  const commands = fc.commands<Model, Real, false>(
    [
      fc.array(fc.tuple(keys, values), { maxLength: 40 }).map(putting),
      fc.array(fc.tuple(keys, values), { maxLength: 40 }).map(putting),
      fc.array(keys, { maxLength: 60 }).map(deleting),
      fc.tuple(bounds, bounds, fc.boolean()).map(([from, to, isReverse]) => scanning(from, to, isReverse)),
      fc.constant(saving),
      fc.constant(restoring),
      fc.constant(reopening),
    ] as fc.Arbitrary<Command>[],
    { size: "medium", maxCommands: 40 },
  );
  const property = fc.asyncProperty(commands, async (run) => {
    const store = new BlockStore();
    const payloadBytesMax = 168;
    const tree = new BTree(NO_BLOCK, store, { payloadBytesMax });
    await fc.asyncModelRun(
      () => ({
        model: { contents: new Map(), saved: undefined },
        real: { store, payloadBytesMax, tree, saved: undefined, seq: 0n },
      }),
      [...run],
    );
  });

  await expect(fc.assert(property, { numRuns: 40 })).resolves.toBeUndefined();
});

const seed = Number(process.env["SEED"] ?? 20_261_120);

test(`thousands of random changes keep every node at least a quarter full and leak no block (SEED=${seed})`, async () => {
  const random = seededRandom(seed);
  const store = new BlockStore();
  const payloadBytesMax = 256;
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax });
  const contents: Contents = new Map();
  let seq = 0n;

  for (let step = 0; step < 6000; step += 1) {
    // The tree grows for the first half and shrinks for the second.
    const isPut = random.u32() % 10 < (step < 3000 ? 7 : 2);
    await (isPut ? putRandomly(step) : deleteRandomly());
    if (step % 500 === 499) await check();
  }

  /** Keys of uneven lengths, so that a new separator may be much longer than the one it follows. */
  function randomKey(): Uint8Array {
    const number = random.u32() % 1500;
    return new Uint8Array([number >>> 8, number, ...new Uint8Array(number % 25)]);
  }

  async function putRandomly(step: number): Promise<void> {
    const [key, value] = [randomKey(), new Uint8Array(random.u32() % 50).fill(step)];
    await tree.put(key, value);
    contents.set(toHex(key), { key, value });
  }

  async function deleteRandomly(): Promise<void> {
    const key = randomKey();
    expect(await tree.delete(key)).toBe(contents.delete(toHex(key)));
  }

  async function check(): Promise<void> {
    seq += 1n;
    const root = await tree.flush(store, seq);
    store.reclaim();
    const shape = await shapeOf(store, root, payloadBytesMax);
    expect(shape.addresses.length).toBe(store.blocks.size);
    expect(shape.leastFill).toBeGreaterThanOrEqual(0.25);
    expect(await entriesOf(tree.scan())).toEqual(inHex(sorted(contents)));
  }
});
