/*
 * The command as a process: what it prints of a bad run, and that this is enough to see and repeat it.
 */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const PLANS = fileURLToPath(new URL("../plans", import.meta.url));
const A_WHILE = { timeout: 60_000 };

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function simulate(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, ...args], { maxBuffer: 2 ** 26 }, (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

/** The lines of the protocol log: a time, a process or none, and words. */
function protocolOf({ out }: Outcome): readonly string[] {
  return out.split("\n").filter((line) => /^ +\d+\.\d{3} {2}\S* +\S/.test(line));
}

test(
  "a bad seed is told with its protocol log, its violations, and the arguments that repeat it to the last event",
  A_WHILE,
  async () => {
    const found = await simulate("--seeds", "20", "--break", "answer-before-commit");
    const again = /^seed \d+: run it again with (.+)$/m.exec(found.out)?.[1] ?? "";
    const repeated = await simulate(...again.split(" "));

    expect([found.code, repeated.code]).toEqual([1, 1]);
    expect(again).toMatch(/^--seed \d+ --members 2\.\.5 --break answer-before-commit$/);
    const [log, logAgain] = [protocolOf(found), protocolOf(repeated)];
    expect(log.length).toBeGreaterThan(10);
    expect(logAgain).toEqual(log);
    expect(log.at(-1)).toContain("violation");
    expect(found.out).toMatch(/^violations:\n {2}[a-z-]+: \S/m);
    expect(found.out.match(/last trace (\w+)/)?.[1]).toBe(repeated.out.match(/last trace (\w+)/)?.[1]);
  },
);

test(
  "the whole protocol log tells of starts, elections, records as they land, and commits, in the order of time",
  A_WHILE,
  async () => {
    const outcome = await simulate("--seed", "2", "--members", "2..2", "--chaos", "800", "--events-log");
    const log = protocolOf(outcome);
    const times = log.map((line) => Number(line.slice(0, 14)));

    expect(outcome.code).toBe(0);
    for (const said of [
      / starts$/,
      /X of term 2 lands$/,
      /Y of term 2 lands$/,
      /event=election\.won .*term=2/,
      /record \(2, 1\) lands in half 0, copy 0$/,
      /event=commit\.recorded term=2 seq=2$/,
      /event=member\.joined /,
      / healed$/,
    ])
      expect(
        log.some((line) => said.test(line)),
        `${said}`,
      ).toBe(true);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  },
);

test(
  "plans of what once failed run before any seed, unless one seed, or a rule to be found, is asked for",
  A_WHILE,
  async () => {
    const short = ["--members", "2..2", "--chaos", "600"];
    const count = readdirSync(PLANS).filter((name) => name.endsWith(".json")).length;
    const [many, one, broken] = await Promise.all([
      simulate("--seeds", "2", ...short),
      simulate("--seed", "5", ...short),
      simulate("--seeds", "2", "--break", "freed-nodes-wait", ...short),
    ]);

    expect(many?.code).toBe(0);
    expect(many?.err.split("\n")[0]).toBe(`${count} kept plans, 0 violations`);
    expect(count).toBeGreaterThan(0);
    for (const outcome of [one, broken]) expect(outcome?.err).not.toContain("kept plans");
  },
);

test(
  "a seed that meets too little fails when coverage is required, and says what never happened",
  A_WHILE,
  async () => {
    const args = ["--members", "2..2", "--chaos", "600", "--faults", "leave"];
    const [required, free] = await Promise.all([
      simulate("--seed", "3", ...args, "--require-coverage"),
      simulate("--seed", "3", ...args),
    ]);

    expect([required?.code, free?.code]).toEqual([1, 0]);
    expect(required?.err).toContain("never happened in 1 seeds: bit-rot: what stood on the device changed");
  },
);

test("what makes no sense is told with the way to use the command", async () => {
  const { code, out, err } = await simulate("--seeds", "many");

  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain("--seeds");
  expect(err).toContain("Exit status:");
});
