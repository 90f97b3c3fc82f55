/*
 * docs/protocols/members.md lists the commands and refusals; here it is held to the declarations.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { REPOSITORY_ROOT } from "../src/index.ts";

const page = readFileSync(new URL("docs/protocols/members.md", REPOSITORY_ROOT), "utf8");
const source = readFileSync(new URL("packages/member/src/protocol.ts", REPOSITORY_ROOT), "utf8");

describe("docs/protocols/members.md", () => {
  test("lists every command with its number", () => {
    expect(rowsOf("Commands")).toEqual(declared("Command"));
  });

  test("lists every refusal with its number", () => {
    expect(rowsOf("Refusals")).toEqual(declared("Refusal"));
  });
});

/** Names and numbers of the table under a heading. */
function rowsOf(heading: string): Readonly<Record<string, number>> {
  const section = new RegExp(`^## ${heading}\\n([^]*?)(?=^## )`, "m").exec(page)?.[1] ?? "";
  return pairs(section.matchAll(/^\| (?<number>\w+) \| `(?<name>\w+)` \|/gm));
}

/** Names and numbers of a constant in protocol.ts, which the package keeps to itself. */
function declared(constant: string): Readonly<Record<string, number>> {
  const body = new RegExp(`^export const ${constant} = \\{([^]*?)^\\}`, "m").exec(source)?.[1] ?? "";
  return pairs(body.matchAll(/^ {2}(?<name>\w+): (?<number>\w+),$/gm));
}

function pairs(matches: Iterable<RegExpExecArray>): Readonly<Record<string, number>> {
  const found = [...matches].map(({ groups }) => [groups?.["name"] ?? "", Number(groups?.["number"])]);
  expect(found.length, "the table is there").toBeGreaterThan(0);
  return Object.fromEntries(found);
}
