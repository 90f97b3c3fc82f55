import type { Finding, SourceFile } from "../tree.ts";

/**
 * Every package has the same parts: a README that says more than its description, a public face, tests, a layer tag.
 * Private tooling without a README has only the tag: it is for this repository alone.
 */
export function packageParts(files: readonly SourceFile[]): readonly Finding[] {
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  return files.flatMap(({ path, text }) => {
    const folder = /^(?:packages|apps|tooling)\/[^/]+(?=\/package\.json$)/.exec(path)?.[0];
    if (folder === undefined) return [];
    const missing = hasTag(texts.get(`${folder}/turbo.json`)) ? [] : ["turbo.json with its tag"];
    const readme = texts.get(`${folder}/README.md`);
    const isForOthers =
      !folder.startsWith("tooling/") || !text.includes('"private": true') || readme !== undefined;
    if (isForOthers) {
      if (!saysMore(readme)) missing.push("a README of more than three lines");
      if (text.includes('".": ') && !texts.has(`${folder}/src/index.ts`)) missing.push("src/index.ts");
      const isTest = (name: string): boolean =>
        name.startsWith(`${folder}/test/`) && name.endsWith(".test.ts");
      if (!files.some((file) => isTest(file.path))) missing.push("test/*.test.ts");
    }
    return missing.map((part) => ({ path: folder, line: 0, message: `lacks ${part}` }));
  });
}

function hasTag(turbo: string | undefined): boolean {
  return turbo !== undefined && /"tags":\s*\[\s*"[a-z]+"\s*\]/.test(turbo);
}

function saysMore(readme: string | undefined): boolean {
  return readme !== undefined && readme.trimEnd().split("\n").length > 3;
}
