import type { Finding, SourceFile } from "../tree.ts";

/** Where a source file ends, comments and blank lines included; most have 60 to 250 lines. */
export const FILE_LINES_MAX = 400;

/** No source file is longer than {@link FILE_LINES_MAX}. */
export function fileLength(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap(({ path, text }) => {
    if (!/\.(?:ts|mts|mjs|js)$/.test(path)) return [];
    const lines = text.trimEnd().split("\n").length;
    if (lines <= FILE_LINES_MAX) return [];
    return [{ path, line: 0, message: `has ${lines} lines, ${FILE_LINES_MAX} are allowed: split it` }];
  });
}
