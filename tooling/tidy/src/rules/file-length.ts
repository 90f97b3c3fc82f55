import type { Finding, SourceFile } from "../tree.ts";

/** Where a source file ends, comments and blank lines included; most have 60 to 250 lines. */
export const FILE_LINES_MAX = 400;

/** Files that were longer when the rule came, with the lines they may have: a list that only shrinks. */
export const LONGER_FILES: ReadonlyMap<string, number> = new Map([
  ["packages/lock-client/src/lock-client.ts", 435],
  ["packages/member/test/locks/lock-world.ts", 405],
]);

/** No source file is longer than {@link FILE_LINES_MAX}. */
export function fileLength(
  files: readonly SourceFile[],
  longer: ReadonlyMap<string, number> = LONGER_FILES,
): readonly Finding[] {
  return files.flatMap(({ path, text }) => {
    if (!/\.(?:ts|mts|mjs|js)$/.test(path)) return [];
    const lines = text.trimEnd().split("\n").length;
    const allowed = longer.get(path) ?? FILE_LINES_MAX;
    if (lines > allowed)
      return [{ path, line: 0, message: `has ${lines} lines, ${allowed} are allowed: split it` }];
    if (longer.has(path) && lines <= FILE_LINES_MAX)
      return [{ path, line: 0, message: "is short enough: take it off the list of longer files" }];
    return [];
  });
}
