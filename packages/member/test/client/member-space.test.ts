import { type Extent, MemberPool } from "@holdfast/alloc-extent";
import { deferred, SILENT_LOGGER } from "@holdfast/environment";
import { expect, test } from "vitest";
import { MemberSpace } from "../../src/client/member-space.ts";
import { NoSpaceError, type NoSpaceErrorCode } from "../../src/index.ts";
import {
  Command,
  EMPTY_BODY,
  EXTENTS_PER_MESSAGE,
  ExtentMessage,
  GiveExtentsRequest,
  type Operation,
  TakeExtentRequest,
} from "../../src/protocol.ts";

/** A server with some free extents; first come, first served, what was asked or less. */
class Free {
  shortage: NoSpaceErrorCode = "ERR_HOLDFAST_NO_SPACE";
  readonly log: string[] = [];
  extents: Extent[] = [];
  hold: Promise<void> = Promise.resolve();
  #operation = 0n;

  async operation(command: number, encode: (operation: Operation) => Uint8Array): Promise<Uint8Array> {
    this.#operation += 1n;
    const body = encode({ operation: this.#operation, seen: 0n });
    await this.hold;
    if (command === Command.takeExtent) return this.#take(TakeExtentRequest.decode(body).blocks);
    const { extents, mayBeWritten } = GiveExtentsRequest.decode(body);
    expect([command, mayBeWritten]).toEqual([Command.giveExtents, false]);
    this.log.push(`give ${extents.map(({ start, lengthBlocks }) => `${start}+${lengthBlocks}`).join(" ")}`);
    this.extents.push(...extents);
    return EMPTY_BODY;
  }

  #take(blocks: number): Uint8Array {
    this.log.push(`take ${blocks}`);
    const found = this.extents.shift();
    if (found === undefined) throw new NoSpaceError(0, "this operation", this.shortage);
    const lengthBlocks = Math.min(blocks, found.lengthBlocks);
    if (found.lengthBlocks > blocks)
      this.extents.unshift({
        start: found.start + BigInt(blocks),
        lengthBlocks: found.lengthBlocks - blocks,
      });
    return ExtentMessage.encode({ start: found.start, lengthBlocks });
  }
}

function fixture(extents: Extent[]): { free: Free; space: MemberSpace } {
  const free = new Free();
  free.extents = extents;
  const pool = new MemberPool({ lowBlocks: 0, highBlocks: 400, refillBlocks: 100 });
  return { free, space: new MemberSpace(pool, free, SILENT_LOGGER) };
}

test("blocks are taken from the server a refill at a time, and from the pool after that", async () => {
  const { free, space } = fixture([{ start: 1000n, lengthBlocks: 1000 }]);

  expect(await space.take(30)).toEqual({ start: 1000n, lengthBlocks: 30 });
  expect(await space.take(30)).toEqual({ start: 1030n, lengthBlocks: 30 });

  expect(free.log).toEqual(["take 100"]);
  expect(space.freeBlocks).toBe(40);
});

test("more than a refill is asked for as one extent", async () => {
  const { free, space } = fixture([{ start: 1000n, lengthBlocks: 1000 }]);

  expect(await space.take(250)).toEqual({ start: 1000n, lengthBlocks: 250 });
  expect(free.log).toEqual(["take 250"]);
});

test("on a fragmented volume a caller gets what there is, after one question", async () => {
  const { free, space } = fixture([
    { start: 10n, lengthBlocks: 3 },
    { start: 20n, lengthBlocks: 5 },
  ]);

  expect(await space.take(50)).toEqual({ start: 10n, lengthBlocks: 3 });
  expect(free.log).toEqual(["take 100"]);
});

test("without space a caller gets what is left in the pool, and an error when that is nothing", async () => {
  const { free, space } = fixture([{ start: 10n, lengthBlocks: 100 }]);
  await space.take(80);

  expect(await space.take(50)).toEqual({ start: 90n, lengthBlocks: 20 });
  await expect(space.take(50)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_NO_SPACE",
    facts: { blocks: 50 },
  });

  free.extents.push({ start: 500n, lengthBlocks: 100 });
  expect(await space.take(50)).toEqual({ start: 500n, lengthBlocks: 50 });
});

test("callers at the same time ask one after another, and all are served while the server has blocks", async () => {
  const { free, space } = fixture([{ start: 1000n, lengthBlocks: 1000 }]);
  const gate = deferred<void>();
  free.hold = gate.promise;
  const taken = Promise.all([space.take(100), space.take(100), space.take(60), space.take(40)]);
  gate.resolve();

  const extents = await taken;

  expect(extents.map(({ lengthBlocks }) => lengthBlocks)).toEqual([100, 100, 60, 40]);
  expect(new Set(extents.map(({ start }) => start)).size).toBe(4);
  expect(free.log).toEqual(["take 100", "take 100", "take 100"]);
});

test("F8: whoever gets nothing is told when it is the quarantine that holds the space", async () => {
  const { free, space } = fixture([]);
  free.shortage = "ERR_HOLDFAST_SPACE_QUARANTINED";

  await expect(space.take(50)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_SPACE_QUARANTINED",
    facts: { blocks: 50 },
  });
  await expect(space.ensure(50)).rejects.toMatchObject({ code: "ERR_HOLDFAST_SPACE_QUARANTINED" });
});

test("a caller is not refused because the one before it took all that the server sent", async () => {
  const { space } = fixture([
    { start: 1000n, lengthBlocks: 100 },
    { start: 2000n, lengthBlocks: 50 },
  ]);

  const [first, second, third] = await Promise.allSettled([space.take(100), space.take(50), space.take(10)]);

  expect(first).toMatchObject({ value: { lengthBlocks: 100 } });
  expect(second).toMatchObject({ value: { start: 2000n, lengthBlocks: 50 } });
  expect(third).toMatchObject({ reason: { code: "ERR_HOLDFAST_NO_SPACE" } });
});

test("what lies idle above the mark goes back, and everything at the end", async () => {
  const { free, space } = fixture([{ start: 1000n, lengthBlocks: 600 }]);
  const taken = await space.take(600);
  space.put({ start: taken.start, lengthBlocks: 450 });
  space.put({ start: 0n, lengthBlocks: 0 });

  await space.drain();

  expect(free.log).toEqual(["take 600", "give 1000+50", "give 1050+400"]);
  expect(space.freeBlocks).toBe(0);
});

test("many extents go back in several messages", async () => {
  const { free, space } = fixture([]);
  for (let start = 0; start < 2 * EXTENTS_PER_MESSAGE + 1; start += 1)
    space.put({ start: BigInt(10 * start), lengthBlocks: 1 });

  await space.drain();

  expect(free.log.map((line) => line.split(" ").length - 1)).toEqual([
    EXTENTS_PER_MESSAGE,
    EXTENTS_PER_MESSAGE,
    1,
  ]);
});

test("a membership that ends fails who waits for blocks, and the pool can be asked again", async () => {
  const { free, space } = fixture([]);
  free.hold = Promise.reject(new Error("evicted"));
  const outcomes = await Promise.allSettled([space.take(10), space.take(10)]);

  expect(outcomes).toMatchObject([{ reason: new Error("evicted") }, { reason: new Error("evicted") }]);
});
