/*
 * The repository as rules see it: paths and texts. A rule is a pure function over them, so that each can be tested
 * on a bad sample.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** One file of the repository. */
export interface SourceFile {
  /** From the root, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** A place that breaks a rule. */
export interface Finding {
  readonly path: string;
  /** Line, from 1; 0 = the file as a whole. */
  readonly line: number;
  readonly message: string;
}

/** Looks at the whole repository and says what breaks the rule. */
export type Rule = (files: readonly SourceFile[]) => readonly Finding[];

/** Folder of this repository. */
export const REPOSITORY_ROOT: URL = new URL("../../../", import.meta.url);

/** What is committed or would be: everything git knows or does not ignore. */
export function readTree(root: URL = REPOSITORY_ROOT): readonly SourceFile[] {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: fileURLToPath(root),
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  return listed
    .split("\0")
    .filter((path) => path !== "" && existsSync(new URL(path, root)))
    .map((path) => ({ path, text: readFileSync(new URL(path, root), "utf8") }));
}

/** One line for a finding, as compilers print it. */
export function describeFinding({ path, line, message }: Finding): string {
  return line === 0 ? `${path}: ${message}` : `${path}:${line}: ${message}`;
}

/** Number of the line at an offset of a text, from 1. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

/** Source text with comments blanked out, so that offsets and lines stay. */
export function withoutComments(text: string): string {
  const token = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|\/\*[^]*?\*\/|\/\/[^\n]*/g;
  return text.replace(token, (match) =>
    match.startsWith("/*") || match.startsWith("//") ? match.replace(/[^\n]/g, " ") : match,
  );
}

/** Markdown with fenced code blanked out, so that lines stay. */
export function withoutCode(markdown: string): string {
  return markdown.replace(/^( *)(```|~~~)[^]*?^\1\2/gm, (match) => match.replace(/[^\n]/g, " "));
}
