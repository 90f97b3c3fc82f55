/*
 * The page of scenarios names tests: each of them must be there.
 */
import { expect, test } from "vitest";
import { readTree } from "../src/index.ts";

const PAGE = "docs/protocols/scenarios.md";

test("every test that the page of scenarios names is there", () => {
  const texts = new Map(readTree().map(({ path, text }) => [path, text]));
  const named = [...(texts.get(PAGE) ?? "").matchAll(/`([^`]+\.test\.ts)` › “([^”]+)”/g)];

  const missing = named.filter(([, path = "", title = ""]) => texts.get(path)?.includes(title) !== true);

  expect(named.length).toBeGreaterThan(100);
  expect(missing.map(([found]) => found)).toEqual([]);
});

test("the page of scenarios has a row for each number up to 30, and from 41 to 64", () => {
  const page = readTree().find(({ path }) => path === PAGE)?.text ?? "";
  const numbers = [...page.matchAll(/^\| (\d+) \|/gm)].map(([, number]) => Number(number));

  const wanted = Array.from({ length: 64 }, (_, index) => index + 1).filter((one) => one <= 30 || one >= 41);
  expect(numbers).toEqual(wanted);
});
