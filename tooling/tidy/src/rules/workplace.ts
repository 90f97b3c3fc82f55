import { type Finding, lineAt, type SourceFile } from "../tree.ts";

/** Places that exist on one machine only, and hosts that packages were fetched from there. */
const PATTERNS: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /(?<![\w.@/-])\/(?:work|root|home|Users)\/\w/g, what: "an absolute path of one machine" },
  { pattern: /(?<!\w)[A-Z]:\\Users\\/g, what: "an absolute path of one machine" },
  { pattern: /^\s*"?(?:tarball|resolved|registry)"?\s*[:=]\s*\S*:\/\//gm, what: "a package registry's host" },
  {
    pattern: /https?:\/\/registry\.|https?:\/\/[^\s/]*(?:artifactory|verdaccio|nexus)/gi,
    what: "a package registry's host",
  },
];

/** Nothing committed names a place on one machine, or where packages came from. */
export function workplace(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap(({ path, text }) =>
    PATTERNS.flatMap(({ pattern, what }) =>
      [...text.matchAll(pattern)].map(({ index }) => ({
        path,
        line: lineAt(text, index),
        message: `names ${what}`,
      })),
    ),
  );
}
