/*
 * How records of an import become items, and items become records of an export.
 *
 * An exported record is {"key", "value"}; what is not UTF-8 travels as base64 and says so. Import takes exported
 * records, or whole records under a key that one of their fields, or their number, gives.
 */
import { isUtf8 } from "node:buffer";
import type { Change, Entry } from "@holdfast/member";
import { UsageError } from "./exit-codes.ts";
import type { SourceRecord } from "./import-source.ts";

/** Where the key of a record comes from. */
export type KeyRule =
  /** The record is `{"key", "value"}`, as export writes it. */
  | { readonly type: "exported" }
  /** A field of the record is its key; the whole record is the value. */
  | { readonly type: "field"; readonly field: string }
  /** Prefix and number, eight digits, from 0; the whole record is the value. */
  | { readonly type: "number"; readonly prefix: string };

/** One line of an export. */
export interface ExportedRecord {
  readonly key: string;
  readonly value: string;
  /** Present when key or value are not UTF-8. */
  readonly encoding?: "base64";
}

const NUMBER_DIGITS = 8;

/** The change that a record asks for. @throws {@link UsageError} naming the record. */
export function toChange(record: SourceRecord, index: number, rule: KeyRule): Change {
  switch (rule.type) {
    case "exported":
      return exportedChange(record);
    case "field":
      return { key: fieldOf(record, rule.field), value: JSON.stringify(record.value) };
    case "number":
      return {
        key: `${rule.prefix}${String(index).padStart(NUMBER_DIGITS, "0")}`,
        value: JSON.stringify(record.value),
      };
  }
}

/** The line of an item. */
export function toExported({ key, value }: Entry): ExportedRecord {
  const [keyBytes, valueBytes] = [Buffer.from(key), Buffer.from(value)];
  return isUtf8(keyBytes) && isUtf8(valueBytes)
    ? { key: keyBytes.toString("utf8"), value: valueBytes.toString("utf8") }
    : { key: keyBytes.toString("base64"), value: valueBytes.toString("base64"), encoding: "base64" };
}

function exportedChange({ value: record, where }: SourceRecord): Change {
  const key = property(record, "key");
  const value = property(record, "value");
  if (typeof key !== "string" || value === undefined) {
    throw new UsageError(
      `${where} has no "key" and "value": name the field that is the key with --key, or number the records with --number PREFIX`,
    );
  }
  if (property(record, "encoding") === "base64" && typeof value === "string") {
    return { key: Buffer.from(key, "base64"), value: Buffer.from(value, "base64") };
  }
  return { key, value: typeof value === "string" ? value : JSON.stringify(value) };
}

function fieldOf({ value: record, where }: SourceRecord, field: string): string {
  const key = property(record, field);
  if (typeof key === "string" && key !== "") return key;
  if (typeof key === "number") return String(key);
  throw new UsageError(`${where} has no text or number in its field "${field}"`);
}

function property(record: unknown, name: string): unknown {
  if (typeof record !== "object" || record === null || !Object.hasOwn(record, name)) return undefined;
  // It has that property of its own, whatever its type.
  return (record as Record<string, unknown>)[name];
}
