// Runs the election's model (docs/protocols/election.pml) under Spin: the protocol must hold, every mutant must be caught.
//
//     node tooling/model/check-election.mjs
//
// Needs `spin` and a C compiler (Debian: apt-get install spin gcc). Without them it says so and succeeds, so that the checks
// that need only Node.js are not held up. Exits 1 when the model fails, a mutant survives, or a search was not complete.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MODEL = fileURLToPath(new URL("../../docs/protocols/election.pml", import.meta.url));
const SEARCH_DEPTH_MAX = 1_000_000;
const MEMORY_MIB_MAX = 2048;

// Each takes seconds. The larger searches that were run once are listed in docs/protocols/election.md.
const HOLDS = [
  { name: "3 voters, 3 terms, 1 commit each", defines: ["COMMITS=1"] },
  { name: "3 voters, 3 terms, 2 commits each", defines: ["COMMITS=2"] },
  { name: "3 voters, 3 terms, 1 commit each, 1 unreadable term", defines: ["COMMITS=1", "UNREADABLE=1"] },
];
const MUTANTS = [
  { name: "no check after the record", defines: ["NO_CHECK"] },
  { name: "the check stops at the next term", defines: ["CHECK_NEXT_ONLY"] },
  { name: "no splitter", defines: ["NO_SPLITTER"] },
  { name: "an unreadable term is passed unmarked", defines: ["UNREADABLE=1", "NO_VOID"] },
  { name: "one half only, and a torn write", defines: ["COMMITS=2", "ONE_HALF"] },
  { name: "adopts the wrong half", defines: ["COMMITS=2", "WRONG_HALF"] },
  { name: "reads before it announces", defines: ["READ_FIRST"] },
];

if (isMissing("spin") || isMissing("gcc")) {
  console.log("spin is not installed: skipped");
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), "holdfast-model-"));
let failedCount = 0;
try {
  for (const run of HOLDS) report(run, search(run.defines), "holds");
  for (const run of MUTANTS) report(run, search(run.defines), "caught");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${HOLDS.length + MUTANTS.length - failedCount} passed, ${failedCount} failed`);
process.exit(failedCount === 0 ? 0 : 1);

/** Searches every interleaving of one configuration, as far as the first error. */
function search(defines) {
  const startedAt = Date.now();
  const flags = defines.map((define) => `-D${define}`);
  execute("spin", [...flags, "-a", MODEL]);
  const limits = ["-DSAFETY", "-DCOLLAPSE", `-DMEMLIM=${MEMORY_MIB_MAX}`];
  execute("gcc", ["-O2", ...limits, "-o", "pan", "pan.c"]);
  const output = execute("./pan", [`-m${SEARCH_DEPTH_MAX}`]);
  const errors = /errors: (\d+)/.exec(output)?.[1];
  const isComplete = !/max search depth too small|out of memory|memory bound/i.test(output);
  if (errors === undefined) throw new Error(`the search said nothing of errors:\n${output}`);
  const states = /([\d.e+]+) states, stored/.exec(output)?.[1] ?? "?";
  const end = errors === "0" ? (isComplete ? "holds" : "was cut off") : "caught";
  return { end, states: Number(states), seconds: (Date.now() - startedAt) / 1000 };
}

function report({ name }, { end, states, seconds }, wanted) {
  const isRight = end === wanted;
  if (!isRight) failedCount += 1;
  const verdict = isRight ? "ok  " : "FAIL";
  console.log(`${verdict} ${name}: ${end} (${states.toLocaleString("en")} states, ${seconds.toFixed(1)} s)`);
}

function execute(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`);
  return stdout;
}

function isMissing(command) {
  return spawnSync(command, [command === "spin" ? "-V" : "--version"]).error !== undefined;
}
