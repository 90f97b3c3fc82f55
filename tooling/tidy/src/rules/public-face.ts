import { type Finding, lineAt, type SourceFile, withoutComments } from "../tree.ts";

const RE_EXPORT = /\s*export\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s+from\s+"[^"]+";/y;

/** A package's `src/index.ts` re-exports and nothing else: what it does not name is private. */
export function publicFace(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap(({ path, text }) => {
    if (!/^(?:packages|apps|tooling)\/[^/]+\/src\/index\.ts$/.test(path)) return [];
    const code = withoutComments(text).trimEnd();
    RE_EXPORT.lastIndex = 0;
    let end = 0;
    while (RE_EXPORT.test(code)) end = RE_EXPORT.lastIndex;
    if (end === code.length) return [];
    const start = end + (code.slice(end).length - code.slice(end).trimStart().length);
    return [{ path, line: lineAt(text, start), message: "is no re-export: index.ts only re-exports" }];
  });
}
