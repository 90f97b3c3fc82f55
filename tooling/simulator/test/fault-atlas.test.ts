import { describe, expect, test } from "vitest";
import {
  type Anatomy,
  type DamageScope,
  FaultAtlas,
  isExcused,
  type Place,
  RandomStream,
  type ViolationType,
} from "../src/index.ts";

/** Blocks by what stands there. */
const PLACES: ReadonlyMap<bigint, Place> = new Map([
  [1n, { kind: "record", copy: 0 }],
  [2n, { kind: "record", copy: 1 }],
  [4n, { kind: "mark", copy: 0 }],
  [5n, { kind: "mark", copy: 0 }],
  [8n, { kind: "node", copy: 0 }],
  [9n, { kind: "journal", copy: 0 }],
]);

const ANATOMY: Anatomy = {
  placeOf: (block) => PLACES.get(block),
  recordTwin: (block) => (PLACES.get(block)?.kind === "record" ? 3n - block : undefined),
  blocksOf: (kind) => [...PLACES].filter(([, place]) => place.kind === kind).map(([block]) => block),
};

function atlas(scope: DamageScope, seed: bigint = 1n): FaultAtlas {
  return new FaultAtlas({ anatomy: ANATOMY, scope, random: new RandomStream(seed, "atlas") });
}

function strike(scope: DamageScope, block: bigint): FaultAtlas {
  const struck = atlas(scope);
  const place = PLACES.get(block);
  if (place === undefined) throw new RangeError(`nothing stands at block ${block}`);
  struck.struck("bit-rot", block, place);
  return struck;
}

describe("the fault atlas", () => {
  test("exposes one copy of a record in a run, the same one to every fault", () => {
    const exposed = new Set<string>();
    for (let seed = 0n; seed < 20n; seed++) {
      const one = atlas("mirrored", seed);
      exposed.add([1n, 2n].filter((block) => one.permits("bit-rot", block) !== undefined).join());
      const random = new RandomStream(seed, "pick");
      const picked = new Set(Array.from({ length: 20 }, () => one.pick("record", random)));
      expect(picked.size).toBe(1);
    }

    expect([...exposed].sort()).toEqual(["1", "2"]);
  });

  test("knows the exposed copy beside another one of the same half", () => {
    for (let seed = 0n; seed < 20n; seed++) {
      const one = atlas("mirrored", seed);
      const exposed = one.permits("bit-rot", 1n) === undefined ? 2n : 1n;

      expect(one.exposedTwin(3n - exposed)?.block).toBe(exposed);
      expect(one.exposedTwin(exposed)).toBeUndefined();
    }
    expect(atlas("mirrored").exposedTwin(4n)).toBeUndefined();
  });

  test("leaves what stands once alone unless all may be damaged", () => {
    expect(atlas("none").permits("bit-rot", 4n)).toBeDefined();
    expect(atlas("mirrored").permits("bit-rot", 8n)).toBeUndefined();
    expect(atlas("anything").permits("bit-rot", 8n)).toEqual({ kind: "node", copy: 0 });
  });

  test("lets one of the two marks of a term be lost", () => {
    const one = atlas("mirrored");
    expect(one.permits("lost-write", 4n)).toBeDefined();

    one.struck("lost-write", 4n, { kind: "mark", copy: 0 });

    expect(one.permits("lost-write", 5n)).toBeUndefined();
    expect(one.permits("bit-rot", 5n)).toBeDefined();
  });

  test("never shows a stale mark, and never loses what a journal holds", () => {
    const one = atlas("anything");

    expect(one.permits("stale-reads", 4n)).toBeUndefined();
    expect(one.permits("lost-write", 9n)).toBeUndefined();
    expect(one.permits("bit-rot", 9n)).toBeDefined();
  });

  test("knows nothing of blocks that mean nothing", () => {
    expect(atlas("anything").permits("bit-rot", 77n)).toBeUndefined();
    expect(atlas("anything").pick("segment", new RandomStream(1n, "pick"))).toBeUndefined();
  });
});

describe("damage excuses", () => {
  const found = (struck: FaultAtlas, type: ViolationType): boolean =>
    isExcused({ type, message: "" }, struck);

  test("nothing when it stays within what stands twice", () => {
    const struck = strike("mirrored", 1n);

    expect(found(struck, "no-progress")).toBe(false);
    expect(found(struck, "unexpected-error")).toBe(false);
  });

  test("a loss of service when it struck what stands once, never wrong data", () => {
    const struck = strike("anything", 8n);

    expect(found(struck, "no-progress")).toBe(true);
    expect(found(struck, "unexpected-error")).toBe(true);
    expect(found(struck, "not-linearizable")).toBe(false);
    expect(found(struck, "landing")).toBe(false);
  });

  test("an announcement that is not there when a mark was struck, and no other corruption", () => {
    expect(strike("mirrored", 4n).explains("ERR_HOLDFAST_ANNOUNCEMENT_LOST")).toBe(true);
    expect(strike("mirrored", 4n).explains("ERR_HOLDFAST_BLOCK_CHECKSUM")).toBe(false);
    expect(strike("mirrored", 1n).explains("ERR_HOLDFAST_ANNOUNCEMENT_LOST")).toBe(false);
  });

  test("a halt of elections when both copies of a half cannot be used, and one was damaged", () => {
    const struck = strike("mirrored", 1n);

    expect(struck.halted(() => false)).toBe(false);
    expect(atlas("mirrored").halted(() => true)).toBe(false);
    expect(struck.halted((half) => half === 1)).toBe(true);
    expect(found(struck, "no-progress")).toBe(true);
    expect(struck.explains("ERR_HOLDFAST_RECORD_CORRUPT")).toBe(true);
    expect(struck.explains("ERR_HOLDFAST_BLOCK_CHECKSUM")).toBe(false);
    expect(found(struck, "unexpected-error")).toBe(false);
    expect(found(struck, "not-linearizable")).toBe(false);
  });

  test("lost writes only when the whole device went back, and a broken invariant never", () => {
    const one = atlas("anything");
    one.rolledBack();

    expect(found(one, "not-linearizable")).toBe(true);
    expect(found(one, "failure")).toBe(false);
    expect(found(one, "damaged-value")).toBe(false);
  });
});
