/*
 * Rows for people and for programs.
 */
import type { Row } from "./contest.ts";

/** Where and when the figures arose; without it they say nothing. */
export interface Machine {
  /** Version of Node.js. */
  readonly node: string;
  /** Model and number of the processors. */
  readonly cpu: string;
  /** ISO 8601. */
  readonly date: string;
}

/** The rows of one suite. */
export interface SuiteReport {
  readonly suite: string;
  readonly rows: readonly Row[];
}

const COLUMNS = ["row", "unit", "ours", "beside", "theirs", "ratio", "goal", "runs", "spread"] as const;

/** An aligned table, one line for each peer; `ratio` tells how many times better than that peer we are. */
export function tableOf(rows: readonly Row[]): string {
  const lines = [COLUMNS as readonly string[], ...rows.flatMap(linesOf)];
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((cells) => (cells[column] ?? "").length)));
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** All rows as JSON. */
export function reportOf(suites: readonly SuiteReport[], machine: Machine, isQuick: boolean): string {
  return JSON.stringify({ ...machine, isQuick, suites }, undefined, 2);
}

function linesOf({
  row,
  unit,
  ours,
  peers,
  ratios,
  goals,
  runs,
  spread,
}: Row): readonly (readonly string[])[] {
  const about = [row, unit, figure(ours)];
  const noise = [String(runs), `${spread.toFixed(1)}×`];
  const names = Object.keys(peers);
  if (names.length === 0) return [[...about, "–", "–", "–", "–", ...noise]];
  return names.map((name, index) => [
    ...(index === 0 ? about : ["", "", ""]),
    name,
    figure(peers[name] ?? Number.NaN),
    times(ratios[name]),
    times(goals[name]),
    ...(index === 0 ? noise : ["", ""]),
  ]);
}

function times(ratio: number | undefined): string {
  if (ratio === undefined || !Number.isFinite(ratio)) return "–";
  return `${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(2)}×`;
}

/** Three digits that count; more would claim what nobody measured. */
function figure(value: number): string {
  if (value >= 1_000_000) return `${(value / 1_000_000).toPrecision(3)} M`;
  if (value >= 1000) return `${(value / 1000).toPrecision(3)} k`;
  return value.toPrecision(3);
}
