import { ManualClock } from "@holdfast/memory-ports";
import { expect, test } from "vitest";
import { AGAIN_MAX, FullWindows, type Invalidation, PAUSE_MAX_MS } from "../../src/locks/full-windows.ts";
import { rangeOf } from "./lock-wiring.ts";

const A = 0xan;
const B = 0xbn;

function invalidation(rid: bigint, start = 1): Invalidation {
  return { type: "invalidate", rid, range: rangeOf(start), to: "null", writeSeq: 0n };
}

/** Windows of members that never have room, and the times at which they were asked. */
function fullWindows(): { clock: ManualClock; windows: FullWindows; askedMs: number[] } {
  const clock = new ManualClock();
  const askedMs: number[] = [];
  const windows: FullWindows = new FullWindows(clock, (invalidations) => {
    askedMs.push(clock.now());
    for (const each of invalidations) windows.add(each);
  });
  return { clock, windows, askedMs };
}

test("a member whose window stays full is asked less and less often, and not again and again at once", async () => {
  const { clock, windows, askedMs } = fullWindows();

  windows.add(invalidation(A));
  await clock.advance(1000);

  expect(askedMs).toEqual([5, 15, 35, 75, 155, 315, 475, 635, 795, 955]);
  expect(PAUSE_MAX_MS).toBe(160);
});

test("its first answer ends a long pause, and answers that follow put the next one off no more", async () => {
  const { clock, windows, askedMs } = fullWindows();
  windows.add(invalidation(A));
  await clock.advance(320);

  windows.answered(A);
  await clock.advance(3);
  windows.answered(A);
  await clock.advance(3);

  expect(askedMs.at(-1)).toBe(325);
});

test("members with room do not wait for one without", async () => {
  const clock = new ManualClock();
  const sent: bigint[] = [];
  const windows: FullWindows = new FullWindows(clock, (invalidations) => {
    for (const each of invalidations)
      if (each.rid === A) windows.add(each);
      else sent.push(each.rid);
  });
  windows.add(invalidation(A));
  await clock.advance(300);

  windows.add(invalidation(B));
  await clock.advance(5);

  expect(sent).toEqual([B]);
});

test("of a hundred thousand locks so many are called back at a time, all of them in their order", async () => {
  const clock = new ManualClock();
  const sizes: number[] = [];
  const sent: bigint[] = [];
  const windows: FullWindows = new FullWindows(clock, (invalidations) => {
    sizes.push(invalidations.length);
    sent.push(...invalidations.map(({ writeSeq }) => writeSeq));
    windows.answered(A);
  });
  const all = Array.from({ length: 2 * AGAIN_MAX + 1 }, (_, index) => BigInt(index));

  for (const writeSeq of all) windows.add({ ...invalidation(A), writeSeq });
  await clock.advance(15);

  expect(sizes).toEqual([AGAIN_MAX, AGAIN_MAX, 1]);
  expect(sent).toEqual(all);
});

test("of a member that is gone, and of a server that has ended, nothing is asked and no timer stays", async () => {
  const { clock, windows, askedMs } = fullWindows();
  windows.add(invalidation(A));
  windows.add(invalidation(B));

  windows.forget(A);
  windows.close();
  await clock.advance(1000);

  expect([askedMs, clock.timersCount]).toEqual([[], 0]);
});
