import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const page = read("../../../docs/protocols/sessions.md");
const rows = [...page.matchAll(/^\| ([NMFH]\d+(?:, [NMFH]\d+)*) \| [^|]+ \| ([\w./, -]+\.ts) \|$/gm)];

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), "utf8");
}

test.each(rows.map(([, rules = "", files = ""]) => [rules, files] as const))(
  "%s: the tests are where docs/protocols/sessions.md says",
  (rules, files) => {
    for (const file of files.split(", ")) {
      const source = read(file);
      for (const rule of rules.split(", ")) {
        const named = new RegExp(String.raw`["(](?:[NMFH]\d+, )*${rule}(?:, [NMFH]\d+)*[:)]`);
        expect(source, `${file} has a test named ${rule}`).toMatch(named);
      }
    }
  },
);

test("the page names every rule that sessions must keep", () => {
  const named = rows.flatMap(([, rules = ""]) => rules.split(", "));

  for (let number = 1; number <= 30; number += 1) expect(named).toContain(`N${number}`);
  for (let number = 1; number <= 6; number += 1) expect(named).toContain(`M${number}`);
  for (let number = 1; number <= 12; number += 1)
    expect(named.includes(`F${number}`) || page.includes(`F${number} (`)).toBe(true);
});
