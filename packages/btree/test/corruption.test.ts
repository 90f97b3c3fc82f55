import { BlockRef, NO_BLOCK, compareBytes } from "@holdfast/wire-format";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { HoldfastError } from "@holdfast/environment";
import {
  BTree,
  NodeCache,
  type NodeReader,
  TREE_LEVEL_MAX,
  TreeCorruptError,
  TreeEntryHeader,
  TreeNodeHeader,
  decodeNode,
} from "../src/index.ts";
import { BlockStore } from "./block-store.ts";

const PAYLOAD_BYTES_MAX = 164;

interface RawNode {
  readonly level: number;
  readonly entries: readonly (readonly [key: readonly number[], value: Uint8Array])[];
  readonly count?: number;
  readonly reserved?: number;
  readonly tail?: readonly number[];
}

function payloadOf(node: RawNode): Uint8Array {
  const { level, entries, count = entries.length, reserved = 0, tail = [] } = node;
  const parts = [TreeNodeHeader.encode({ level, reserved, count })];
  for (const [key, value] of entries) {
    parts.push(TreeEntryHeader.encode({ keyLength: key.length, valueLength: value.length }));
    parts.push(new Uint8Array(key), value);
  }
  return new Uint8Array([...parts.flatMap((part) => [...part]), ...tail]);
}

function refOf(address: bigint): BlockRef {
  return { address, seq: 1n, hash: new Uint8Array(16) };
}

function childAt(address: bigint): Uint8Array {
  return BlockRef.encode(refOf(address));
}

/** A reader whose blocks are all what their parents meant, so that only their structure can be wrong. */
function readerOf(nodes: Readonly<Record<string, RawNode>>): NodeReader {
  return {
    async read(ref) {
      const node = nodes[String(ref.address)];
      if (node === undefined) throw new Error(`nobody should read block ${ref.address}`);
      return payloadOf(node);
    },
  };
}

async function ruleBroken(nodes: Readonly<Record<string, RawNode>>): Promise<string> {
  const tree = new BTree(refOf(1n), readerOf(nodes));
  try {
    for await (const _ of tree.scan());
  } catch (error) {
    if (error instanceof TreeCorruptError) return `${error.facts.block}: ${error.facts.rule}`;
    throw error;
  }
  return "none";
}

const VALUE = new Uint8Array([42]);
const LEAF: RawNode = { level: 0, entries: [[[5], VALUE]] };

test("a well-formed tree that another program wrote is read", async () => {
  const root: RawNode = {
    level: 1,
    entries: [
      [[], childAt(2n)],
      [[7], childAt(3n)],
    ],
  };
  const right: RawNode = {
    level: 0,
    entries: [
      [[7], VALUE],
      [[9, 9], VALUE],
    ],
  };

  expect(await ruleBroken({ 1: root, 2: LEAF, 3: right })).toBe("none");
});

test("a payload shorter than a header is refused with its block, its rule and its code", async () => {
  const reader: NodeReader = { read: async () => new Uint8Array(3) };

  await expect(new BTree(refOf(1n), reader).get(new Uint8Array([1]))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_TREE_CORRUPT",
    category: "corruption",
    facts: { block: 1n, rule: "shorter than a header" },
  });
});

test.each<readonly [string, RawNode]>([
  ["1: 0 entries on level 0", { level: 0, entries: [] }],
  ["1: 1 entries on level 1", { level: 1, entries: [[[], childAt(2n)]] }],
  [`1: level ${TREE_LEVEL_MAX + 1}`, { level: TREE_LEVEL_MAX + 1, entries: [[[], childAt(2n)]] }],
  ["1: a reserved byte is set", { ...LEAF, reserved: 1 }],
  ["1: entries beyond its end", { ...LEAF, count: 2 }],
  ["1: entries beyond its end", { ...LEAF, count: 2, tail: [1, 0, 0] }],
  ["1: bytes behind its entries", { ...LEAF, tail: [0] }],
  [
    "1: keys out of order",
    {
      level: 0,
      entries: [
        [[5], VALUE],
        [[4], VALUE],
      ],
    },
  ],
  [
    "1: keys out of order",
    {
      level: 0,
      entries: [
        [[5], VALUE],
        [[5], VALUE],
      ],
    },
  ],
  ["1: a key of 65 bytes", { level: 0, entries: [[Array.from({ length: 65 }, () => 1), VALUE]] }],
  ["1: a value of 1025 bytes", { level: 0, entries: [[[1], new Uint8Array(1025)]] }],
  [
    "1: a value of 1 bytes",
    {
      level: 1,
      entries: [
        [[], VALUE],
        [[1], VALUE],
      ],
    },
  ],
  [
    "1: a child at block 0",
    {
      level: 1,
      entries: [
        [[], childAt(0n)],
        [[1], childAt(2n)],
      ],
    },
  ],
  [
    "1: its first key is not the one its parent names",
    {
      level: 1,
      entries: [
        [[1], childAt(2n)],
        [[2], childAt(3n)],
      ],
    },
  ],
])("a malformed root is refused: %s", async (rule, node) => {
  expect(await ruleBroken({ 1: node, 2: LEAF })).toBe(rule);
});

test.each<readonly [string, RawNode]>([
  [
    "2: level 1 where 0 belongs",
    {
      level: 1,
      entries: [
        [[], childAt(3n)],
        [[1], childAt(3n)],
      ],
    },
  ],
  [
    "2: a key beyond its parent's bounds",
    {
      level: 0,
      entries: [
        [[5], VALUE],
        [[7], VALUE],
      ],
    },
  ],
])("a child that cannot stand below its parent is refused: %s", async (rule, node) => {
  const root: RawNode = {
    level: 1,
    entries: [
      [[], childAt(2n)],
      [[7], childAt(3n)],
    ],
  };

  expect(await ruleBroken({ 1: root, 2: node, 3: { level: 0, entries: [[[8], VALUE]] } })).toBe(rule);
});

test("a node that is its own child ends a walk at once", async () => {
  const root: RawNode = {
    level: 3,
    entries: [
      [[], childAt(1n)],
      [[7], childAt(1n)],
    ],
  };

  expect(await ruleBroken({ 1: root })).toBe("1: level 3 where 2 belongs");
});

test("a leaf that two branches share is refused, even when the cache holds it", async () => {
  const root: RawNode = {
    level: 1,
    entries: [
      [[], childAt(2n)],
      [[7], childAt(2n)],
    ],
  };
  const tree = new BTree(refOf(1n), readerOf({ 1: root, 2: LEAF }), { cache: new NodeCache(9) });

  expect(await tree.get(new Uint8Array([5]))).toEqual(VALUE);
  await expect(tree.get(new Uint8Array([8]))).rejects.toMatchObject({
    facts: { block: 2n, rule: "its first key is not the one its parent names" },
  });
});

test("arbitrary bytes are a node or refused as corrupt, nothing else", () => {
  const payloads = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .tuple(fc.nat(255), fc.nat(3), fc.array(fc.tuple(fc.nat(8), fc.nat(40)), { maxLength: 6 }))
      .map(([level, count, lengths]) =>
        payloadOf({
          level: level % 3,
          count,
          entries: lengths.map(([key, value]) => [
            Array.from({ length: key }, () => level),
            new Uint8Array(value),
          ]),
        }),
      ),
  );
  fc.assert(
    fc.property(payloads, (payload) => {
      try {
        const node = decodeNode(payload, 1n);
        expect(node.bytes).toBe(payload.length);
        for (let index = 1; index < node.keys.length; index += 1) {
          expect(compareBytes(node.keys[index - 1] ?? payload, node.keys[index] ?? payload)).toBeLessThan(0);
        }
      } catch (error) {
        if (!(error instanceof TreeCorruptError)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});

test("whatever happens to a stored block, a read gives an error or the right data", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  for (let number = 0; number < 120; number += 1)
    await tree.put(new Uint8Array([number]), new Uint8Array([number, 1]));
  const root = await tree.flush(store, 1n);
  const addresses = [...store.blocks.keys()];

  const damages = fc.record({
    victim: fc.nat(addresses.length - 1),
    other: fc.nat(addresses.length - 1),
    offset: fc.nat(4095),
    bit: fc.nat(7),
    kind: fc.constantFrom("flip", "lose", "misdirect"),
  });
  await fc.assert(
    fc.asyncProperty(damages, async ({ victim, other, offset, bit, kind }) => {
      const address = addresses[victim] ?? 0n;
      const intact = store.blocks.get(address) ?? new Uint8Array(4096);
      const damaged = kind === "misdirect" ? store.blocks.get(addresses[other] ?? 0n) : intact.slice();
      if (damaged === undefined) throw new Error("every address has its block");
      if (kind === "flip") damaged[offset] = (damaged[offset] ?? 0) ^ (1 << bit);
      store.blocks.set(address, kind === "lose" ? new Uint8Array(4096) : damaged);

      let [errors, hits] = [0, 0];
      for (let number = 0; number < 120; number += 1) {
        try {
          const value = await new BTree(root, store).get(new Uint8Array([number]));
          expect(value).toEqual(new Uint8Array([number, 1]));
          hits += 1;
        } catch (error) {
          if (!(error instanceof HoldfastError) || error.category !== "corruption") throw error;
          errors += 1;
        }
      }
      store.blocks.set(address, intact);

      expect(errors + hits).toBe(120);
      expect(errors > 0).toBe(kind !== "misdirect" || victim !== other);
    }),
    { numRuns: 40 },
  );
});

test("F2: a stale block, intact but of an older version, is an error", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store);
  await tree.put(new Uint8Array([1]), VALUE);
  const old = await tree.flush(store, 1n);
  const oldBlock = store.blocks.get(old.address) ?? new Uint8Array(4096);
  await tree.put(new Uint8Array([1]), new Uint8Array([43]));
  const root = await tree.flush({ ...writerAt(store, old.address) }, 2n);

  store.blocks.set(old.address, oldBlock);

  await expect(new BTree(root, store).get(new Uint8Array([1]))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_BLOCK_STALE",
  });
});

test("a change that cannot read a node leaves the tree as it was", async () => {
  const store = new BlockStore();
  const tree = new BTree(NO_BLOCK, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  for (let number = 0; number < 120; number += 1) await tree.put(new Uint8Array([number]), VALUE);
  const root = await tree.flush(store, 1n);
  const reopened = new BTree(root, store, { payloadBytesMax: PAYLOAD_BYTES_MAX });
  const victim = [...store.blocks.keys()][0] ?? 0n;
  store.blocks.set(victim, new Uint8Array(4096));

  await expect(reopened.put(new Uint8Array([0]), new Uint8Array(3))).rejects.toThrow(HoldfastError);

  expect(reopened.isChanged).toBe(false);
  expect(reopened.dirtyNodeCount).toBe(0);
  await reopened.put(new Uint8Array([119]), new Uint8Array(3));
  expect(await reopened.get(new Uint8Array([119]))).toEqual(new Uint8Array(3));
});

function writerAt(store: BlockStore, address: bigint): Pick<BlockStore, "allocate" | "write" | "free"> {
  return {
    allocate: () => address,
    write: (to, seq, payload) => store.write(to, seq, payload),
    free: (ref) => store.free(ref),
  };
}
