#!/usr/bin/env node
/*
 * The `fuzz` command: mutated frames and blocks for every parser.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { writeFileSync } from "node:fs";
import { fuzz, type FuzzResult } from "./fuzz-pool.ts";
import { makeTargets } from "./targets/all.ts";

const USAGE = `Usage: npm run fuzz -- [options]

  --count N       inputs to feed (1,000,000)
  --seed S        whole number that all of them are made from (1)
  --first N       number of the first input, to feed a finding again with --count 1 (0)
  --target NAME   only this target; --list names them
  --jobs N        processes (one for each core)
  --save FILE     where the bytes of a finding go
  --json          the result as one JSON document
  --list          names the targets

Fails when code crashes, hangs, keeps its inputs in memory or changes what a bad input must not change.
`;

const PROGRESS_MS = 5000;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = parseOptions();
  if (typeof options === "string") {
    process.stderr.write(`${options}\n\n${USAGE}`);
    return 2;
  }
  if (options.isHelp) return print(USAGE);
  const names = (await makeTargets()).map(({ name }) => name);
  if (options.isList) return print(`${names.join("\n")}\n`);
  if (options.target !== undefined && !names.includes(options.target)) {
    process.stderr.write(`there is no target "${options.target}": --list names them\n`);
    return 2;
  }
  const startedMs = performance.now();
  let toldMs = startedMs;
  const result = await fuzz({
    seed: options.seed,
    firstInput: options.first,
    inputCount: options.count,
    jobCount: Math.min(options.jobs, options.count),
    targetName: options.target,
    onProgress: (inputCount) => {
      const nowMs = performance.now();
      if (options.isJson || nowMs - toldMs < PROGRESS_MS) return;
      toldMs = nowMs;
      process.stderr.write(`${inputCount} of ${options.count} inputs\n`);
    },
  });
  const seconds = (performance.now() - startedMs) / 1000;
  if (options.isJson) print(`${JSON.stringify(documentOf(result, seconds))}\n`);
  else printResult(result, seconds);
  const bytes = result.findings.find((finding) => typeof finding !== "string")?.bytes;
  if (options.save !== undefined && bytes !== undefined) writeFileSync(options.save, bytes);
  return result.findings.length === 0 ? 0 : 1;
}

interface Options {
  readonly count: number;
  readonly seed: number;
  readonly first: number;
  readonly jobs: number;
  readonly target: string | undefined;
  readonly save: string | undefined;
  readonly isJson: boolean;
  readonly isList: boolean;
  readonly isHelp: boolean;
}

function parseOptions(): Options | string {
  try {
    const { values } = parseArgs({
      options: {
        count: { type: "string", default: "1000000" },
        seed: { type: "string", default: "1" },
        first: { type: "string", default: "0" },
        jobs: { type: "string", default: String(availableParallelism()) },
        target: { type: "string" },
        save: { type: "string" },
        json: { type: "boolean", default: false },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    const [count, seed, first, jobs] = [values.count, values.seed, values.first, values.jobs].map(Number);
    if (![count, seed, first, jobs].every((value) => Number.isSafeInteger(value) && Number(value) >= 0))
      return "--count, --seed, --first and --jobs are whole numbers";
    const numbers = { count: Number(count), seed: Number(seed), first: Number(first), jobs: Number(jobs) };
    if (numbers.count === 0 || numbers.jobs === 0) return "--count and --jobs are at least 1";
    const { target, save, json: isJson, list: isList, help: isHelp } = values;
    return { ...numbers, target, save, isJson, isList, isHelp };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function printResult({ verdicts, findings, growthBytes, inputCount }: FuzzResult, seconds: number): void {
  for (const [name, { accepted, refused }] of verdicts)
    print(`${String(accepted + refused).padStart(10)}  ${name}: ${refused} refused, ${accepted} accepted\n`);
  for (const finding of findings) {
    if (typeof finding === "string") print(`FINDING: ${finding}\n`);
    else print(`FINDING in ${finding.target}, input ${finding.number}: ${finding.message}\n`);
  }
  const speed = Math.round(inputCount / seconds);
  const megabytes = (growthBytes / 2 ** 20).toFixed(1);
  print(
    `${inputCount} inputs, ${findings.length} findings, ${speed} inputs/s, memory grew by ${megabytes} MiB\n`,
  );
}

function documentOf({ verdicts, findings, growthBytes, inputCount }: FuzzResult, seconds: number): object {
  return {
    inputCount,
    seconds,
    growthBytes,
    targets: Object.fromEntries(verdicts),
    findings: findings.map((finding) =>
      typeof finding === "string"
        ? { message: finding }
        : { ...finding, bytes: Buffer.from(finding.bytes).toString("base64") },
    ),
  };
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
