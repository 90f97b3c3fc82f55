import { expect, test } from "vitest";
import { type Contest, type Measure, measureRow, median } from "../src/index.ts";

/** A measurement that gives these figures one after the other and writes down when it ran. */
function scripted(name: string, figures: readonly number[], order: string[] = []): Measure {
  let index = 0;
  return () => {
    order.push(name);
    const figure = figures[index] ?? Number.NaN;
    index += 1;
    return Promise.resolve(figure);
  };
}

const contest = (parts: Partial<Contest>): Contest => ({
  row: "a row",
  unit: "items/s",
  isLowerBetter: false,
  runs: 3,
  ours: scripted("ours", [1, 2, 2, 2]),
  peers: {},
  ...parts,
});

test("ours and the peers take turns, so that all meet the same noise", async () => {
  const order: string[] = [];

  await measureRow(
    contest({
      runs: 1,
      ours: scripted("ours", [1, 1], order),
      peers: { first: scripted("first", [1, 1], order), second: scripted("second", [1, 1], order) },
    }),
  );

  expect(order).toEqual(["ours", "first", "second", "ours", "first", "second"]);
});

test("the first round is not counted, and of the others the median is", async () => {
  const row = await measureRow(contest({ ours: scripted("ours", [1000, 30, 10, 20]) }));

  expect(row).toMatchObject({ ours: 20, runs: 3, spread: 3 });
});

test("the ratio is above one where we are better, for rates and for times", async () => {
  const parts = { ours: scripted("ours", [2, 2, 2, 2]), peers: { peer: scripted("peer", [4, 4, 4, 4]) } };
  const times = await measureRow(contest({ ...parts, isLowerBetter: true }));
  const again = { ours: scripted("ours", [2, 2, 2, 2]), peers: { peer: scripted("peer", [4, 4, 4, 4]) } };
  const rates = await measureRow(contest(again));

  expect([times.ratio, rates.ratio]).toEqual([2, 0.5]);
});

test("the ratio is to the best peer", async () => {
  const peers = { slow: scripted("slow", [1, 1, 1, 1]), fast: scripted("fast", [8, 8, 8, 8]) };

  const row = await measureRow(contest({ peers }));

  expect(row.ratio).toBe(0.25);
  expect(row.peers).toEqual({ slow: 1, fast: 8 });
});

test("a ratio is the median of what the rounds say, each of which met the same noise", async () => {
  const ours = scripted("ours", [1, 10, 200, 30]);
  const peers = { peer: scripted("peer", [1, 20, 100, 60]) };

  const row = await measureRow(contest({ ours, peers, goals: { peer: 0.4 } }));

  expect(row).toMatchObject({ ratio: 0.5, ratios: { peer: 0.5 }, goals: { peer: 0.4 } });
});

test("a row without peers has no ratio", async () => {
  expect(await measureRow(contest({}))).not.toHaveProperty("ratio");
});

test("the median of an even number is the mean of the two in the middle", () => {
  expect([median([3]), median([9, 1, 5]), median([4, 1, 2, 9])]).toEqual([3, 5, 3]);
});
