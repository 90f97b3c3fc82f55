/*
 * A log message is a sentence without a trailing newline or full stop, and it is fixed: what varies is a fact.
 */
import { type Finding, lineAt, type SourceFile, withoutComments } from "../tree.ts";

const CALL = /\blog(?:ger)?\??\.(?:debug|info|warn|error)\(/g;
const LITERAL = /"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g;

/** Messages of log calls end without newline and full stop, and interpolate nothing. */
export function logMessages(files: readonly SourceFile[]): readonly Finding[] {
  return files.flatMap(({ path, text }) => {
    if (!/^(?:packages|apps)\/[^/]+\/src\/.*\.ts$/.test(path)) return [];
    const code = withoutComments(text);
    return [...code.matchAll(CALL)].flatMap(({ index, 0: call }) =>
      messagesOf(code, index + call.length).flatMap(({ literal, offset }) => {
        const reason = faultOf(literal);
        return reason === undefined ? [] : [{ path, line: lineAt(code, offset), message: reason }];
      }),
    );
  });
}

/** Literals among the arguments behind the first one, which holds the facts; of a call with one argument, that. */
function messagesOf(
  code: string,
  start: number,
): readonly { readonly literal: string; readonly offset: number }[] {
  const found: { literal: string; offset: number }[] = [];
  let [depth, at] = [0, start];
  while (at < code.length && depth >= 0) {
    LITERAL.lastIndex = at;
    const character = code.charAt(at);
    if (character === '"' || character === "`") {
      const literal = LITERAL.exec(code)?.[0] ?? character;
      if (depth === 0) found.push({ literal, offset: at });
      at += literal.length;
      continue;
    }
    if ("([{".includes(character)) depth += 1;
    if (")]}".includes(character)) depth -= 1;
    at += 1;
  }
  return found;
}

function faultOf(literal: string): string | undefined {
  const message = literal.slice(1, -1);
  if (message.endsWith("\\n")) return "a log message ends without a newline";
  if (message.endsWith(".")) return "a log message ends without a full stop";
  if (literal.startsWith("`") && message.includes("${"))
    return "a log message interpolates nothing: give facts";
  return undefined;
}
