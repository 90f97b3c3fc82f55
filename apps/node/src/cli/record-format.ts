/*
 * How records of an import become items, and items become records of an export.
 *
 * An exported record is {"key", "value"}; what is not UTF-8 travels as base64 and says so. Import takes exported
 * records, or whole records under a key that one of their fields, or their number, gives.
 */
import { isUtf8 } from "node:buffer";
import { HoldfastError } from "@holdfast/environment";
import type { Entry } from "@holdfast/member";
import { checkItem } from "../check-item.ts";
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

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A change whose sizes are known. */
export interface ImportedChange {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** The change that a record asks for. @throws {@link UsageError} naming the record. */
export function toChange(record: SourceRecord, index: number, rule: KeyRule): ImportedChange {
  const change =
    rule.type === "exported" ? exportedChange(record) : wholeRecord(record, keyOf(record, index, rule));
  try {
    checkItem(change.key, change.value);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    throw new UsageError(`${record.where}: ${error.message}`, { cause: error });
  }
  return change;
}

/** The line of an item. */
export function toExported({ key, value }: Entry): ExportedRecord {
  const [keyBytes, valueBytes] = [Buffer.from(key), Buffer.from(value)];
  return isUtf8(keyBytes) && isUtf8(valueBytes)
    ? { key: keyBytes.toString("utf8"), value: valueBytes.toString("utf8") }
    : { key: keyBytes.toString("base64"), value: valueBytes.toString("base64"), encoding: "base64" };
}

function wholeRecord({ value, text }: SourceRecord, key: string): ImportedChange {
  return { key: Buffer.from(key), value: Buffer.from(text ?? JSON.stringify(value)) };
}

function keyOf(record: SourceRecord, index: number, rule: Exclude<KeyRule, { type: "exported" }>): string {
  switch (rule.type) {
    case "field":
      return fieldOf(record, rule.field);
    case "number":
      return `${rule.prefix}${String(index).padStart(NUMBER_DIGITS, "0")}`;
  }
}

function exportedChange({ value: record, where }: SourceRecord): ImportedChange {
  const key = property(record, "key");
  const value = property(record, "value");
  if (typeof key !== "string" || value === undefined) {
    throw new UsageError(
      `${where} has no "key" and "value": name the field that is the key with --key, or number the records with --number PREFIX`,
    );
  }
  const encoding = property(record, "encoding");
  if (encoding === undefined)
    return {
      key: Buffer.from(key),
      value: Buffer.from(typeof value === "string" ? value : JSON.stringify(value)),
    };
  const isBase64 =
    encoding === "base64" && typeof value === "string" && BASE64.test(key) && BASE64.test(value);
  if (!isBase64) throw new UsageError(`${where}: its "encoding" is not "base64", or key and value are not`);
  return { key: Buffer.from(key, "base64"), value: Buffer.from(value, "base64") };
}

function fieldOf({ value: record, where }: SourceRecord, field: string): string {
  const key = property(record, field);
  if (typeof key === "string" && key !== "") return key;
  if (typeof key !== "number") throw new UsageError(`${where} has no text or number in its field "${field}"`);
  if (Number.isInteger(key) && !Number.isSafeInteger(key))
    throw new UsageError(
      `${where}: the number in its field "${field}" is too long to be exact: write it as text`,
    );
  return String(key);
}

function property(record: unknown, name: string): unknown {
  if (typeof record !== "object" || record === null || !Object.hasOwn(record, name)) return undefined;
  // It has that property of its own, whatever its type.
  return (record as Record<string, unknown>)[name];
}
