// Checks every published package as its users get it: publint on what would be packed, and the types as a bundler and
// Node.js resolve them.
//
//     node tooling/dev/lint-packages.mjs
//
// Needs a build. Two at a time: more do not help on two cores. Ends with `N passed, N failed`; status 1 if any failed.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const AT_A_TIME = 2;
const CHECKS = [
  ["publint", "--strict"],
  ["attw", "--pack", ".", "--profile", "esm-only"],
];

const root = new URL("../../", import.meta.url);
const work = ["packages", "apps"]
  .flatMap((row) => foldersIn(row))
  .flatMap((folder) => CHECKS.map((check) => ({ folder, check })));
const count = { passed: 0, failed: 0 };
await Promise.all(Array.from({ length: AT_A_TIME }, runQueue));
console.log(`${count.passed} passed, ${count.failed} failed`);
process.exitCode = count.failed === 0 ? 0 : 1;

/** Folders of packages that are published. */
function foldersIn(row) {
  return readdirSync(new URL(row, root))
    .map((name) => `${row}/${name}`)
    .filter((folder) => {
      try {
        return JSON.parse(readFileSync(new URL(`${folder}/package.json`, root), "utf8")).private !== true;
      } catch (error) {
        if (error.code === "ENOENT" || error.code === "ENOTDIR") return false;
        throw error;
      }
    });
}

async function runQueue() {
  for (let next = work.shift(); next !== undefined; next = work.shift()) {
    const { folder, check } = next;
    const { status, output } = await run(folder, check);
    if (status === 0) {
      count.passed += 1;
    } else {
      count.failed += 1;
      console.error(`FAILED ${check.join(" ")} in ${folder}:\n${output}`);
    }
  }
}

/** Runs a tool of node_modules/.bin in a folder. */
function run(folder, [tool, ...args]) {
  const bin = fileURLToPath(new URL(`node_modules/.bin/${tool}`, root));
  return new Promise((resolve, reject) => {
    const child = spawn(bin, args, {
      cwd: new URL(folder, root),
      // attw packs with the package manager that this names, by PATH.
      env: {
        ...process.env,
        PATH: `${fileURLToPath(new URL("node_modules/.bin", root))}:${process.env.PATH}`,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
}
