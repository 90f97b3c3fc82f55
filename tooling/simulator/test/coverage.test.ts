import { expect, test } from "vitest";
import { countCoverage, COVERAGE_POINTS, missingPoints, REQUIRED_FROM_SEEDS } from "../src/index.ts";

test("a point is counted by its own name or by the counters it names", () => {
  const counts = countCoverage([
    ["record-torn", 3],
    ["fault power-loss", 1],
    ["fault power-loss-at-write", 2],
    ["no point at all", 9],
  ]);

  expect(counts.find(({ name }) => name === "record-torn")?.count).toBe(3);
  expect(counts.find(({ name }) => name === "power-lost")?.count).toBe(3);
  expect(counts).toHaveLength(COVERAGE_POINTS.length);
});

test("a hundred seeds must meet the common points, a thousand the rare ones too, five thousand all", () => {
  const nothing = countCoverage([]);
  const common = COVERAGE_POINTS.filter(({ frequency }) => frequency === "common");

  expect(missingPoints(nothing, 100).map(({ name }) => name)).toEqual(common.map(({ name }) => name));
  const seldom = COVERAGE_POINTS.filter(({ frequency }) => frequency === "seldom");
  expect(missingPoints(nothing, REQUIRED_FROM_SEEDS.rare)).toHaveLength(
    COVERAGE_POINTS.length - seldom.length,
  );
  expect(missingPoints(nothing, REQUIRED_FROM_SEEDS.seldom)).toHaveLength(COVERAGE_POINTS.length);
});

test("no two points have one name", () => {
  expect(new Set(COVERAGE_POINTS.map(({ name }) => name)).size).toBe(COVERAGE_POINTS.length);
});
