import { type Finding, lineAt, type SourceFile } from "../tree.ts";

/** Rows of the storage layer; a package imports from rows below its own only. */
const ROW: ReadonlyMap<string, number> = new Map([
  ["item-store", 3],
  ["compaction", 2],
  ["alloc-extent", 2],
  ["segment", 1],
  ["btree", 1],
]);

/** Storage packages import downward: item-store → compaction, alloc-extent → segment, btree. */
export function storageOrder(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap(({ path, text }) => {
    const importer = /^packages\/([^/]+)\/(?:package\.json$|src\/)/.exec(path)?.[1] ?? "";
    const row = ROW.get(importer);
    if (row === undefined) return [];
    return [...text.matchAll(/"@holdfast\/([a-z-]+)"/g)].flatMap((match) => {
      const imported = match[1] ?? "";
      const below = ROW.get(imported);
      if (below === undefined || below < row || imported === importer) return [];
      return [
        {
          path,
          line: lineAt(text, match.index),
          message: `${importer} may not import ${imported}: it stands no lower`,
        },
      ];
    });
  });
}
