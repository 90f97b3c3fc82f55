/*
 * What each function of each model takes and returns. The table is the validation.
 */
import { HistoryFormatError, type HistoryModel } from "./history.ts";

/** Says whether a JSON value is fit for its place. */
type Check = (value: unknown) => boolean;

/** One function of a model. */
export interface FunctionRule {
  /** Arguments besides the key; each must be there. */
  readonly takes: Readonly<Record<string, Check>>;
  /** What `out` may be; a function that returns nothing has none or null. */
  readonly returns: Check;
}

const isInteger: Check = (value) => Number.isSafeInteger(value);
const isBoolean: Check = (value) => typeof value === "boolean";
const isNothing: Check = (value) => value === undefined || value === null;
const isMode: Check = (value) => value === "ex" || value === "sh";
const isScalar: Check = (value) =>
  typeof value === "string" ||
  typeof value === "boolean" ||
  (typeof value === "number" && Number.isFinite(value));
const isScalarOrNull: Check = (value) => value === null || isScalar(value);
const isList: Check = (value) => Array.isArray(value) && value.every(isScalar);
const isTokenOrBoolean: Check = (value) => isBoolean(value) || isInteger(value);

const RULES: Readonly<Record<HistoryModel, Readonly<Record<string, FunctionRule>>>> = {
  kv: {
    read: { takes: {}, returns: isScalarOrNull },
    write: { takes: { v: isScalar }, returns: isNothing },
    delete: { takes: {}, returns: isNothing },
    cas: { takes: { old: isScalarOrNull, v: isScalar }, returns: isBoolean },
    add: { takes: { v: isInteger }, returns: isInteger },
  },
  list: {
    append: { takes: { v: isScalar }, returns: isNothing },
    readall: { takes: {}, returns: isList },
  },
  lock: {
    acquire: { takes: { by: isScalar, mode: isMode }, returns: isTokenOrBoolean },
    release: { takes: { by: isScalar }, returns: isBoolean },
    evict: { takes: { by: isScalar }, returns: isNothing },
    holds: { takes: { by: isScalar, mode: isMode }, returns: isBoolean },
  },
};

/**
 * The rule of one function.
 *
 * @throws {@link HistoryFormatError} when the model has no such function.
 */
export function ruleOf(model: HistoryModel, name: string, line: number): FunctionRule {
  const rules = RULES[model];
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
  if (rule === undefined) throw new HistoryFormatError(line, `model ${model} has no function ${name}`);
  return rule;
}

/** True for the models of this format. */
export function isModel(value: unknown): value is HistoryModel {
  return typeof value === "string" && Object.hasOwn(RULES, value);
}
