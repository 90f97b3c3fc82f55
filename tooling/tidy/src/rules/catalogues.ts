/*
 * Pages that list what operators meet are complete: every error code, every log event, every command and option.
 */
import { type Finding, lineAt, type SourceFile, withoutComments } from "../tree.ts";

const ERRORS_PAGE = "docs/operations/errors.md";
const LOGS_PAGE = "docs/operations/logs.md";
const COMMANDS_PAGE = "docs/operations/command-line.md";
const COMMANDS_SOURCE = "apps/node/src/cli/program.ts";

/** Every error code in the sources has its row in docs/operations/errors.md, and no row outlives its code. */
export function errorCodes(files: readonly SourceFile[]): readonly Finding[] {
  return listed(files, {
    page: ERRORS_PAGE,
    row: /^\| `(ERR_HOLDFAST_[A-Z0-9_]+)` \|/gm,
    source: /"(ERR_HOLDFAST_[A-Z0-9_]*[A-Z0-9])"/g,
  });
}

/** Every log event has its row in docs/operations/logs.md, and no row outlives its event. */
export function logEvents(files: readonly SourceFile[]): readonly Finding[] {
  return listed(files, {
    page: LOGS_PAGE,
    row: /^\| `([a-z]+\.[a-z-]+)` \|/gm,
    source: /\bevent:((?:[\s|]*"[a-z]+\.[a-z-]+")+)/g,
  });
}

/** Every command and option stands in docs/operations/command-line.md. */
export function commandLine(files: readonly SourceFile[]): readonly Finding[] {
  const page = files.find(({ path }) => path === COMMANDS_PAGE)?.text ?? "";
  const source = withoutComments(files.find(({ path }) => path === COMMANDS_SOURCE)?.text ?? "");
  return [...source.matchAll(/(?:\.(?:command|option)\(|new Option\()\s*"([a-z]+|--[a-z-]+)[^"]*"/g)].flatMap(
    ({ index, 1: name = "" }) => {
      const usage = name.startsWith("--")
        ? `(?<![\\w-])${name}(?![\\w-])`
        : `holdfast (?:[a-z]+ )?${name}\\b`;
      if (new RegExp(usage).test(page)) return [];
      return [
        { path: COMMANDS_SOURCE, line: lineAt(source, index), message: `${name} is not in ${COMMANDS_PAGE}` },
      ];
    },
  );
}

interface Catalogue {
  readonly page: string;
  /** A row of the page; its group is the name. */
  readonly row: RegExp;
  /** A place in a source; its group holds names in quotes, or one name. */
  readonly source: RegExp;
}

function listed(files: readonly SourceFile[], { page, row, source }: Catalogue): readonly Finding[] {
  const text = files.find(({ path }) => path === page)?.text ?? "";
  const rows = new Map([...text.matchAll(row)].map(({ index, 1: name = "" }) => [name, index]));
  const used = new Set<string>();
  const missing = files
    .filter(({ path }) => /^(?:packages|apps)\/[^/]+\/src\/.*\.ts$/.test(path))
    .flatMap((file) => {
      const code = withoutComments(file.text);
      return [...code.matchAll(source)].flatMap(({ index, 1: group = "" }) =>
        namesIn(group).flatMap((name) => {
          const isFirst = !used.has(name);
          used.add(name);
          if (rows.has(name) || !isFirst) return [];
          return [{ path: file.path, line: lineAt(code, index), message: `${name} is not in ${page}` }];
        }),
      );
    });
  const stale = [...rows].flatMap(([name, index]) =>
    used.has(name)
      ? []
      : [{ path: page, line: lineAt(text, index), message: `${name} is in no source any more` }],
  );
  return [...missing, ...stale];
}

function namesIn(group: string): readonly string[] {
  return group.includes('"') ? [...group.matchAll(/"([^"]+)"/g)].map(({ 1: name = "" }) => name) : [group];
}
