/*
 * `bench SUITE [--json FILE] [--quick]`
 */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { type Machine, reportOf, type SuiteReport, tableOf } from "./report.ts";
import { FULL_SIZES, QUICK_SIZES, type Sizes } from "./sizes.ts";
import { SUITE_NAMES, SUITES, type SuiteName } from "./suites.ts";

/** What was asked for. */
export interface BenchRequest {
  readonly suites: readonly SuiteName[];
  readonly isQuick: boolean;
  /** Where the rows go as JSON, if anywhere. */
  readonly jsonFile: string | undefined;
}

/** Where the command says things. */
export interface Outputs {
  readonly say: (text: string) => void;
  readonly complain: (text: string) => void;
}

/** What to type; shown when something else was. */
export const USAGE: string = `usage: npm run bench -- SUITE [--json FILE] [--quick]\nsuites: ${SUITE_NAMES.join(", ")}, all\n`;

/** Reads the arguments; a string is what is wrong with them. */
export function parseRequest(words: readonly string[]): BenchRequest | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: { json: { type: "string" }, quick: { type: "boolean", default: false } },
    });
    const [name, ...others] = positionals;
    if (name === undefined) return "no suite is named";
    if (others.length > 0) return "one suite at a time, or all";
    const suites = name === "all" ? SUITE_NAMES : SUITE_NAMES.filter((known) => known === name);
    if (suites.length === 0) return `there is no suite "${name}"`;
    return { suites, isQuick: values.quick, jsonFile: values.json };
  } catch (error) {
    if (error instanceof TypeError) return error.message;
    throw error;
  }
}

/** Runs the command; resolves with its exit code: 0, or 2 when the arguments make no sense. */
export async function runCommandLine(
  words: readonly string[],
  machine: Machine,
  { say, complain }: Outputs,
): Promise<number> {
  const request = parseRequest(words);
  if (typeof request === "string") {
    complain(`${request}\n${USAGE}`);
    return 2;
  }
  const sizes: Sizes = request.isQuick ? QUICK_SIZES : FULL_SIZES;
  const reports: SuiteReport[] = [];
  for (const suite of request.suites) {
    const rows = await SUITES[suite](sizes);
    reports.push({ suite, rows });
    say(`${suite}\n${tableOf(rows)}\n`);
  }
  if (request.jsonFile !== undefined)
    await writeFile(request.jsonFile, `${reportOf(reports, machine, request.isQuick)}\n`);
  return 0;
}
