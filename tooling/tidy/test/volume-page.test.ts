/*
 * docs/formats/volume.md shows the layouts; here it is held to the declarations.
 */
import { readFileSync } from "node:fs";
import {
  Evidence,
  layoutFor,
  MemberRecord,
  StoredExtent,
  OrphanedGrant,
  OwnerRecord,
  ProcessRecord,
  SuperBlock,
  VolumeState,
} from "@holdfast/member";
import { describe, expect, test } from "vitest";
import { REPOSITORY_ROOT } from "../src/index.ts";

const page = readFileSync(new URL("docs/formats/volume.md", REPOSITORY_ROOT), "utf8");

describe("docs/formats/volume.md", () => {
  test.each([
    SuperBlock,
    VolumeState,
    MemberRecord,
    OwnerRecord,
    ProcessRecord,
    Evidence,
    StoredExtent,
    OrphanedGrant,
  ])("shows the layout of $name as it is declared", ({ name, table }) => {
    expect(tableOf(name)).toBe(table);
  });

  test("shows where extents begin on volumes of some sizes", () => {
    const rows = [...page.matchAll(/^\| (\d+) ([MG])iB \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$/gm)];

    expect(rows.length).toBeGreaterThan(2);
    for (const [, size = "", unit, ...shown] of rows) {
      const { termsMax, dataBlock, dataCount } = layoutFor(BigInt(size) << (unit === "G" ? 30n : 20n));
      expect(shown).toEqual([termsMax, dataBlock, dataCount].map((count) => count.toLocaleString("en")));
    }
  });
});

/** The table behind the heading that names a layout. */
function tableOf(name: string): string {
  const match = new RegExp(`^### ${name}\\n[^]*?\`\`\`text\\n([^]*?)\\n\`\`\``, "m").exec(page);
  return match?.[1] ?? `no table of ${name}`;
}
