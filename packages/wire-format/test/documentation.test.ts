/*
 * docs/formats/blocks-and-frames.md shows the layouts; here it is held to the declarations.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  BatchLayout,
  BlockHeader,
  BlockRef,
  BlockType,
  FIRST_KEY,
  FrameLayout,
  type KeyFields,
  packKey,
  unpackKey,
} from "../src/index.ts";

const page = readFileSync(new URL("../../../docs/formats/blocks-and-frames.md", import.meta.url), "utf8");

describe("docs/formats/blocks-and-frames.md", () => {
  test.each([BlockHeader, BlockRef, BatchLayout, FrameLayout])(
    "shows the layout of $name as it is declared",
    ({ name, table }) => {
      expect(tableOf(name)).toBe(table);
    },
  );

  test("shows the fields of a key where they stand", () => {
    const rows = tableOf("Key").split("\n").slice(1);
    const found = rows.map((row) => row.trim().split(/\s+/));

    for (const [offset, size, field] of found) {
      const [start, end] = [Number(offset), Number(offset) + Number(size)];
      const ones = unpackKey(FIRST_KEY.slice().fill(0xff, start, end));
      const set = Object.entries(ones).filter(([, value]) => value !== 0 && value !== 0n);
      expect(set.map(([name]) => name)).toEqual([field]);
      expect(packKey(ones)).toEqual(FIRST_KEY.slice().fill(0xff, start, end));
    }
    const names = Object.keys(unpackKey(FIRST_KEY)) as (keyof KeyFields)[];
    expect(found.map(([, , field]) => field)).toEqual(names);
  });

  test("lists every type of block with its number", () => {
    const rows = [...page.matchAll(/^\| (\d+) \| `(\w+)` \|/gm)].map(([, number, name]) => [
      name,
      Number(number),
    ]);

    expect(Object.fromEntries(rows)).toEqual(BlockType);
  });
});

/** The table behind the heading that names a layout. */
function tableOf(name: string): string {
  const match = new RegExp(`^### ${name}\\n[^]*?\`\`\`text\\n([^]*?)\\n\`\`\``, "m").exec(page);
  return match?.[1] ?? `no table of ${name}`;
}
