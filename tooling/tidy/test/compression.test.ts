/*
 * Scenario 55 (docs/protocols/scenarios.md): a decompression bomb needs somebody who decompresses. Nobody does. Whoever changes that
 * bounds what comes out by what was announced, tests it, and says so in the row, without the words that this test looks for.
 */
import { expect, test } from "vitest";
import { lineAt, readTree, type SourceFile, withoutComments } from "../src/tree.ts";

const PAGE = "docs/protocols/scenarios.md";
const SAID = "nothing compresses";

/** Modules that inflate: Node's own, and whatever is named after a format. */
const MODULE =
  /"(?:node:)?(?:[\w@./-]*(?:zlib|flate|gzip|gunzip|pako|brotli|zstd|lzma|bzip2?|lz-?string|lz4|snappy|xz)[\w./-]*)"/g;

/** What inflates without an import: the web's streams, and clients that undo a server's encoding by themselves. */
const GLOBAL = /\bDecompressionStream\b|\bfetch\(|"node:https?2?"/g;

/** Where sources of what is published decompress, or could. The bench takes zlib's checksum, and its peers bring what they bring. */
function decompressions(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, text }) => {
    const isSource = /^(?:packages|apps)\/(?!bench\/)[^/]+\/src\/.*\.[cm]?[jt]s$/.test(path);
    const isManifest = /^(?:packages|apps)\/(?!bench\/)[^/]+\/package\.json$/.test(path);
    if (!isSource && !isManifest) return [];
    const code = isSource ? withoutComments(text) : text;
    const patterns = isSource ? [MODULE, GLOBAL] : [MODULE];
    return patterns.flatMap((pattern) =>
      [...code.matchAll(pattern)].map(({ 0: found, index }) => `${path}:${lineAt(code, index)}: ${found}`),
    );
  });
}

test("scenario 55: nothing that a peer or a device sends is decompressed, as the page of scenarios says", () => {
  const files = readTree();
  const row = files.find(({ path }) => path === PAGE)?.text.match(/^\| 55 \|.*$/m)?.[0] ?? "";

  expect(row.includes(SAID)).toBe(true);
  expect(decompressions(files)).toEqual([]);
});

test.each([
  ["packages/x/src/a.ts", 'import { inflateSync } from "node:zlib";'],
  ["apps/x/src/a.ts", 'const { gunzip } = await import("zlib");'],
  ["packages/x/src/a.ts", 'import { decompress } from "@scope/zstd-wasm";'],
  ["packages/x/src/a.ts", 'import { inflateRaw } from "fflate";'],
  ["packages/x/src/a.ts", 'stream.pipeThrough(new DecompressionStream("gzip"))'],
  ["apps/x/src/a.ts", "const answer = await fetch(url);"],
  ["packages/x/package.json", '{ "dependencies": { "lz4-napi": "1.0.0" } }'],
])("in %s, %s is found", (path, text) => {
  expect(decompressions([{ path, text }])).not.toEqual([]);
});

test("words of compaction and comments are not found", () => {
  const text = '// "zlib"\nimport { Compaction } from "@holdfast/compaction";\nconst text = "compressed";\n';

  expect(decompressions([{ path: "packages/x/src/a.ts", text }])).toEqual([]);
});
