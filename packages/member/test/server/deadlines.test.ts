import { expect, test } from "vitest";
import { Deadlines } from "../../src/server/deadlines.ts";
import { ManualClock } from "@holdfast/memory-ports";

function fixture(): { clock: ManualClock; passed: string[]; deadlines: Deadlines } {
  const clock = new ManualClock();
  const passed: string[] = [];
  const deadlines = new Deadlines(clock, (rid) => passed.push(`${rid}@${clock.now()}`));
  return { clock, passed, deadlines };
}

test("a member's deadline passes once; asking for another meanwhile does not move it", async () => {
  const { clock, passed, deadlines } = fixture();
  deadlines.arm(1n, 100);
  await clock.advance(60);
  deadlines.arm(1n, 100);
  deadlines.arm(2n, 10);

  await clock.advance(1000);

  expect(passed).toEqual(["2@70", "1@100"]);
});

test("a member that came is not waited for, and may be waited for again", async () => {
  const { clock, passed, deadlines } = fixture();
  deadlines.arm(1n, 100);
  deadlines.disarm(1n);
  deadlines.disarm(2n);
  await clock.advance(200);
  expect(passed).toEqual([]);

  deadlines.arm(1n, 100);
  await clock.advance(200);
  expect(passed).toEqual(["1@300"]);
});

test("closed, it waits for nobody and keeps no timer", async () => {
  const { clock, passed, deadlines } = fixture();
  deadlines.arm(1n, 100);
  deadlines.close();
  deadlines.arm(2n, 100);

  expect(clock.timersCount).toBe(0);
  await clock.advance(200);
  expect(passed).toEqual([]);
});
