/*
 * Plans as JSON, for files: written for people to cut down by hand, read back strictly enough that a slip of the hand is
 * named instead of ignored.
 */
import { type Fault } from "./draw-faults.ts";
import { faultKindOf } from "./fault-kinds.ts";
import type { RunConfig } from "./run-config.ts";
import { planRun, type RunPlan } from "./run-plan.ts";

/** A text that is no plan. */
export class PlanFormatError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(`this is no plan of a run: ${message}`, options);
    this.name = "PlanFormatError";
  }
}

/** A plan as JSON: one line for each part of the shape and each fault. */
export function formatPlan({ seed, config, faults }: RunPlan): string {
  const parts = Object.entries(config).map(
    ([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)}`,
  );
  const lines = faults.map((fault) => `    ${JSON.stringify(fault)}`);
  return [
    `{\n  "seed": "${seed}",\n  "config": {\n${parts.join(",\n")}\n  },\n`,
    `  "faults": [\n${lines.join(",\n")}\n  ]\n}\n`,
  ].join("");
}

/**
 * Reads a plan.
 *
 * @throws {@link PlanFormatError} naming what is wrong.
 */
export function parsePlan(text: string): RunPlan {
  const { seed, config, faults } = recordOf(parseJson(text), "the plan");
  if (typeof seed !== "string" || !/^\d{1,20}$/.test(seed))
    throw new PlanFormatError("seed must be a decimal string");
  if (!Array.isArray(faults)) throw new PlanFormatError("faults must be a list");
  checkShape(config, SAMPLE, "config");
  // The shape was compared with one that is drawn, name by name and type by type.
  return { seed: BigInt(seed), config: config as RunConfig, faults: faults.map(faultOf) };
}

/** A shape to compare with: every name and type that a config has. */
const SAMPLE: RunConfig = planRun(0n, { membersMin: 2, membersMax: 2 }).config;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PlanFormatError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function recordOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new PlanFormatError(`${what} must be an object`);
  return value as Readonly<Record<string, unknown>>;
}

function checkShape(value: unknown, sample: unknown, what: string): void {
  if (typeof sample !== "object" || sample === null) {
    if (typeof value !== typeof sample) throw new PlanFormatError(`${what} must be a ${typeof sample}`);
    return;
  }
  const record = recordOf(value, what);
  const expected = recordOf(sample, what);
  for (const name of Object.keys(record))
    if (!Object.hasOwn(expected, name)) throw new PlanFormatError(`${what} knows no ${name}`);
  for (const [name, one] of Object.entries(expected)) checkShape(record[name], one, `${what}.${name}`);
}

function faultOf(value: unknown, index: number): Fault {
  const what = `fault ${index + 1}`;
  const { id, kind, atMs, lastsMs, choice } = recordOf(value, what);
  const known = typeof kind === "string" ? faultKindOf(kind) : undefined;
  if (known === undefined) throw new PlanFormatError(`${what} has an unknown kind: ${String(kind)}`);
  if (typeof id !== "string") throw new PlanFormatError(`${what} needs an id, a string`);
  if (!isDuration(atMs) || !isDuration(lastsMs) || !isDuration(choice))
    throw new PlanFormatError(`${what} needs atMs, lastsMs and choice, numbers from 0`);
  return { id, kind: known, atMs, lastsMs, choice };
}

function isDuration(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
