/*
 * Histories as text: one JSON object per line.
 */
import { HistoryBuilder } from "./history-builder.ts";
import {
  HistoryFormatError,
  type CallEvent,
  type History,
  type HistoryEvent,
  type OkEvent,
  type UnknownEvent,
} from "./history.ts";
import { isModel, ruleOf } from "./history-rules.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** Writes a history; the inverse of {@link parseHistory}. */
export function formatHistory(history: Pick<History, "model" | "note" | "events">): string {
  const { model, note, events } = history;
  const header = note === undefined ? { model } : { model, note };
  return [header, ...events].map((line) => `${JSON.stringify(line)}\n`).join("");
}

/**
 * Reads a history, strictly.
 *
 * @throws {@link HistoryFormatError} naming the first line that is not as the format says.
 */
export function parseHistory(text: string): History {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const first = lines[0] === undefined ? undefined : parseLine(lines[0], 1);
  const hasHeader = first !== undefined && !Object.hasOwn(first, "e");
  const builder = hasHeader ? builderFromHeader(first) : new HistoryBuilder();
  for (const [index, line] of lines.entries()) {
    if (index === 0 && hasHeader) continue;
    builder.add(toEvent(parseLine(line, index + 1), builder, index + 1), index + 1);
  }
  return builder.finish();
}

function parseLine(text: string, line: number): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new HistoryFormatError(line, `not JSON: ${String(cause)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new HistoryFormatError(line, "not a JSON object");
  }
  return value as JsonObject; // JSON.parse makes plain objects only
}

function builderFromHeader(header: JsonObject): HistoryBuilder {
  onlyFields(header, ["model", "note"], 1);
  const { model, note } = header;
  if (!isModel(model)) throw new HistoryFormatError(1, `unknown model ${JSON.stringify(model)}`);
  if (note !== undefined && typeof note !== "string") throw new HistoryFormatError(1, "note must be text");
  return new HistoryBuilder(model, note);
}

function toEvent(object: JsonObject, builder: HistoryBuilder, line: number): HistoryEvent {
  const { e } = object;
  wholeNumber(object, "id", line);
  switch (e) {
    case "call":
      return toCall(object, builder, line);
    case "ok":
      onlyFields(object, ["e", "id", "out", "t"], line);
      return object as unknown as OkEvent; // `out` is judged by the builder, which knows the function
    case "fail":
    case "info":
      onlyFields(object, ["e", "id", "t"], line);
      return object as unknown as UnknownEvent; // all its fields have been checked
    default:
      throw new HistoryFormatError(line, `unknown event ${JSON.stringify(e)}`);
  }
}

function toCall(object: JsonObject, builder: HistoryBuilder, line: number): CallEvent {
  const { f, k } = object;
  wholeNumber(object, "c", line);
  if (typeof f !== "string") throw new HistoryFormatError(line, "f must name a function");
  if (typeof k !== "string") throw new HistoryFormatError(line, "k must be text");
  const { takes } = ruleOf(builder.model, f, line);
  onlyFields(object, ["e", "id", "c", "f", "k", "t", ...Object.keys(takes)], line);
  for (const [name, isFit] of Object.entries(takes)) {
    if (!isFit(object[name])) {
      throw new HistoryFormatError(line, `${f} cannot take ${name} = ${JSON.stringify(object[name])}`);
    }
  }
  return object as unknown as CallEvent; // all its fields have been checked
}

function wholeNumber(object: JsonObject, name: string, line: number): void {
  if (!Number.isSafeInteger(object[name])) throw new HistoryFormatError(line, `${name} must be an integer`);
}

function onlyFields(object: JsonObject, names: readonly string[], line: number): void {
  for (const name of Object.keys(object)) {
    if (!names.includes(name)) throw new HistoryFormatError(line, `unknown field ${name}`);
  }
}
