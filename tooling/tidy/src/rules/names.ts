import type { Finding, SourceFile } from "../tree.ts";

const BANNED: ReadonlySet<string> = new Set([
  "util",
  "utils",
  "helper",
  "helpers",
  "common",
  "shared",
  "core",
  "misc",
  "lib",
]);

/** No drawer: a folder or file says what is inside. */
export function names(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap(({ path }) => {
    const drawer = path.split("/").find((part) => BANNED.has(part.replace(/\..*$/, "")));
    if (drawer === undefined) return [];
    return [{ path, line: 0, message: `"${drawer}" is a drawer: name what is inside` }];
  });
}
