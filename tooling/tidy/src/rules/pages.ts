import { posix } from "node:path";
import { type Finding, lineAt, type SourceFile, withoutCode } from "../tree.ts";

/** A page has one title, and it comes first. */
export function titles(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap(({ path, text }) => {
    if (!isPage(path)) return [];
    const [first, second] = [...withoutCode(text).matchAll(/^# .+$/gm)];
    if (first === undefined || first.index !== 0)
      return [{ path, line: 1, message: "does not begin with its title" }];
    return second === undefined
      ? []
      : [{ path, line: lineAt(text, second.index), message: "has a second title" }];
  });
}

/** A relative link leads to something that is there. */
export function links(files: readonly SourceFile[]): readonly Finding[] {
  const paths = files.map(({ path }) => path);
  const places = new Set(
    paths.flatMap((path) => path.split("/").map((_, depth, parts) => parts.slice(0, depth + 1).join("/"))),
  );
  return files.flatMap(({ path, text }) => {
    if (!isPage(path)) return [];
    return [...withoutCode(text).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)/g)].flatMap(
      ({ index, 1: target = "" }) => {
        const place = posix.normalize(posix.join(posix.dirname(path), target)).replace(/\/$/, "");
        if (place === "." || places.has(place)) return [];
        return [{ path, line: lineAt(text, index), message: `links to ${target}, which is not there` }];
      },
    );
  });
}

function isPage(path: string): boolean {
  return path.endsWith(".md") && !path.startsWith(".changeset/") && !path.endsWith("CHANGELOG.md");
}
