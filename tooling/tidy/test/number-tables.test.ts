/*
 * Pages that list numbers with their names are held to the constants that declare them.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { REPOSITORY_ROOT } from "../src/index.ts";

const TABLES = [
  {
    page: "docs/protocols/members.md",
    heading: "Commands",
    source: "packages/member/src/protocol.ts",
    constant: "Command",
  },
  {
    page: "docs/protocols/members.md",
    heading: "Refusals",
    source: "packages/member/src/protocol.ts",
    constant: "Refusal",
  },
  {
    page: "docs/operations/command-line.md",
    heading: "Exit codes",
    source: "apps/node/src/cli/exit-codes.ts",
    constant: "ExitCode",
  },
];

test.each(TABLES)("$page lists every number of $constant", ({ page, heading, source, constant }) => {
  const shown = rowsUnder(read(page), heading);

  expect(Object.keys(shown)).not.toEqual([]);
  expect(shown).toEqual(declaredIn(read(source), constant));
});

function read(path: string): string {
  return readFileSync(new URL(path, REPOSITORY_ROOT), "utf8");
}

/** Names and numbers of the table under a heading. */
function rowsUnder(page: string, heading: string): Readonly<Record<string, number>> {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
  return pairs(section.matchAll(/^\| (?<number>\w+) \| `(?<name>\w+)` \|/gm));
}

/** Names and numbers of a constant that its package keeps to itself. */
function declaredIn(source: string, constant: string): Readonly<Record<string, number>> {
  const body = new RegExp(`^export const ${constant} = \\{([^]*?)^\\}`, "m").exec(source)?.[1] ?? "";
  return pairs(body.matchAll(/^ {2}(?<name>\w+): (?<number>\w+),$/gm));
}

function pairs(matches: Iterable<RegExpExecArray>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    [...matches].map(({ groups }) => [groups?.["name"] ?? "", Number(groups?.["number"])]),
  );
}
