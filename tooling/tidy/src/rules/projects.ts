import type { Finding, SourceFile } from "../tree.ts";

/** Every TypeScript project is built with the others: the root tsconfig.json names it, or its tests, which name it. */
export function projects(files: readonly SourceFile[]): readonly Finding[] {
  const root = files.find(({ path }) => path === "tsconfig.json")?.text ?? "";
  const listed = new Set([...root.matchAll(/"path":\s*"\.\/([^"]+)"/g)].map(([, path]) => path));
  const folders = files.flatMap(
    ({ path }) => /^(?:packages|apps|tooling)\/[^/]+(?=\/tsconfig\.json$)/.exec(path) ?? [],
  );
  return folders.flatMap((folder) => {
    const tests = files.some(({ path }) => path === `${folder}/test/tsconfig.json`);
    const project = tests ? `${folder}/test` : folder;
    if (listed.has(project)) return [];
    return [{ path: "tsconfig.json", line: 0, message: `does not name ./${project}, so nobody builds it` }];
  });
}
