/*
 * Arguments of the `simulate` command.
 */
import { parseArgs } from "node:util";
import { BREAKABLE_RULES } from "./broken-rules.ts";
import { FAULT_KINDS, type FaultKind, faultKindOf } from "../plan/fault-kinds.ts";
import type { RunPlan } from "../plan/run-plan.ts";

/** What the command was asked to do. */
export interface SimulateArguments {
  /** How many seeds to run. */
  readonly seedCount: number;
  /** The first of them. */
  readonly firstSeed: bigint;
  readonly membersMin: number;
  readonly membersMax: number;
  readonly brokenRules: ReadonlySet<string>;
  /** Only the names of the rules are wanted. */
  readonly isListWanted: boolean;
  readonly isHelpWanted: boolean;
  /** Where the last history goes. */
  readonly historyPath: string | undefined;
  readonly isJson: boolean;
  /** Members' logs go to standard error. */
  readonly isVerbose: boolean;
  readonly eventsMax: number | undefined;
  readonly chaosMs: number | undefined;
  readonly faults: readonly FaultKind[] | undefined;
  /** Runs this instead of what seeds draw; the caller read it from {@link planPath}. */
  readonly plan?: RunPlan | undefined;
  readonly planPath: string | undefined;
  /** Where the plan of the last run goes; "-" is standard output. */
  readonly savePlanPath: string | undefined;
  /** All lines of the protocol log are wanted, not the last ones only. */
  readonly isEventLogWanted: boolean;
  readonly traceLinesMax: number;
  /** So many of the first seeds are run a second time, and must come to the same. */
  readonly twiceCount: number;
  /** The plan of a bad run is cut down to what it needs to be bad. */
  readonly isShrinkWanted: boolean;
  /** A point of coverage that was not met fails the command. */
  readonly isCoverageRequired: boolean;
  /** Processes that share the seeds; undefined: as many as there are cores. */
  readonly jobCount: number | undefined;
}

/** Arguments that make no sense; the command ends with status 2. */
export class UsageError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "UsageError";
  }
}

/** How to use the command. */
export const USAGE: string = `simulate [options]

  --seeds N         run N seeds (1)
  --seed S          the first seed, decimal or 0x… (1)
  --members A..B    members of a cluster, drawn by the seed (2..5)
  --break RULE      break a safety rule on purpose; several separated by commas; "list" names them
  --faults KINDS    use these kinds of fault instead of what the seed draws, e.g. crash-server,pause
  --chaos MS        length of the chaos in virtual milliseconds (drawn by the seed)
  --plan FILE       run the plan in FILE instead of what seeds draw
  --save-plan FILE  write the plan of the last run there; "-" is standard output
  --twice N         run the first N seeds twice: they must come to the same (0)
  --shrink          cut the plan of a bad run down, and print it; --save-plan keeps it
  --require-coverage  fail if something never happened that so many seeds must meet
  --events N        give a run up after N events (3000000)
  --jobs N          spread the seeds over N processes (number of cores); the result is the same
  --history FILE    write the last history there, as JSON lines
  --events-log      print the whole protocol log of the last run, not the last 200 lines of a bad one
  --json            one JSON object on standard output
  --verbose         members' logs on standard error

Exit status: 0 nothing found, 1 a violation (its seed is printed) or missing coverage, 2 usage.
`;

const MEMBERS_MAX = 16;

/** Lines of the protocol log that are printed of a bad run. */
const LOG_TAIL_LINES = 200;

/** Lines that are kept when all are wanted: the longest runs have some ten thousand. */
const LOG_LINES_MAX = 1_000_000;
const SEED_MAX = (1n << 64n) - 1n;

/**
 * Reads the arguments.
 *
 * @throws {@link UsageError} when one is unknown, malformed or out of range.
 */
export function parseSimulateArguments(args: readonly string[]): SimulateArguments {
  const values = readOptions(args);
  const [membersMin, membersMax] = parseMembers(values.members ?? "2..5");
  const broken = splitList(values.break);
  const isListWanted = broken.length === 1 && broken[0] === "list";
  return {
    seedCount: parseCount("--seeds", values.seeds ?? "1", 1),
    firstSeed: parseSeed(values.seed ?? "1"),
    membersMin,
    membersMax,
    brokenRules: isListWanted ? new Set() : new Set(broken.map(knownRule)),
    isListWanted,
    isHelpWanted: values.help === true,
    historyPath: values.history,
    isJson: values.json === true,
    isVerbose: values.verbose === true,
    eventsMax: values.events === undefined ? undefined : parseCount("--events", values.events, 1),
    planPath: values.plan,
    savePlanPath: values["save-plan"],
    isEventLogWanted: values["events-log"] === true,
    traceLinesMax: values["events-log"] === true ? LOG_LINES_MAX : LOG_TAIL_LINES,
    twiceCount: values.twice === undefined ? 0 : parseCount("--twice", values.twice, 0),
    isShrinkWanted: values.shrink === true,
    isCoverageRequired: values["require-coverage"] === true,
    chaosMs: values.chaos === undefined ? undefined : parseCount("--chaos", values.chaos, 0),
    faults: values.faults === undefined ? undefined : splitList(values.faults).map(knownFault),
    jobCount: values.jobs === undefined ? undefined : parseCount("--jobs", values.jobs, 1),
  };
}

interface OptionValues {
  readonly seeds?: string | undefined;
  readonly seed?: string | undefined;
  readonly members?: string | undefined;
  readonly break?: string | undefined;
  readonly faults?: string | undefined;
  readonly chaos?: string | undefined;
  readonly events?: string | undefined;
  readonly jobs?: string | undefined;
  readonly history?: string | undefined;
  readonly plan?: string | undefined;
  readonly "save-plan"?: string | undefined;
  readonly twice?: string | undefined;
  readonly "events-log"?: boolean | undefined;
  readonly shrink?: boolean | undefined;
  readonly "require-coverage"?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  readonly help?: boolean | undefined;
}

function readOptions(args: readonly string[]): OptionValues {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: false,
      options: {
        seeds: { type: "string" },
        seed: { type: "string" },
        members: { type: "string" },
        break: { type: "string" },
        faults: { type: "string" },
        chaos: { type: "string" },
        events: { type: "string" },
        jobs: { type: "string" },
        history: { type: "string" },
        plan: { type: "string" },
        "save-plan": { type: "string" },
        twice: { type: "string" },
        "events-log": { type: "boolean" },
        shrink: { type: "boolean" },
        "require-coverage": { type: "boolean" },
        json: { type: "boolean" },
        verbose: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function parseCount(name: string, text: string, min: number): number {
  const count = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= min)) throw new UsageError(`${name} must be a whole number of at least ${min}, not ${text}`);
  return count;
}

function parseSeed(text: string): bigint {
  const seed = /^(\d{1,20}|0x[\da-f]{1,16})$/i.test(text) ? BigInt(text) : SEED_MAX + 1n;
  if (seed > SEED_MAX) throw new UsageError(`--seed must be 0 to 2^64-1, not ${text}`);
  return seed;
}

function parseMembers(text: string): [number, number] {
  const match = /^(\d{1,2})(?:\.\.(\d{1,2}))?$/.exec(text);
  const min = Number(match?.[1]);
  const max = Number(match?.[2] ?? match?.[1]);
  if (match === null || min < 1 || max < min || max > MEMBERS_MAX) {
    throw new UsageError(`--members must be A..B with 1 ≤ A ≤ B ≤ ${MEMBERS_MAX}, not ${text}`);
  }
  return [min, max];
}

function splitList(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(",");
}

function knownRule(name: string): string {
  if (BREAKABLE_RULES.some((rule) => rule.name === name)) return name;
  throw new UsageError(`there is no rule ${name}: --break list names them`);
}

function knownFault(name: string): FaultKind {
  const kind = faultKindOf(name);
  if (kind === undefined) throw new UsageError(`there is no fault ${name}: ${FAULT_KINDS.join(", ")}`);
  return kind;
}
