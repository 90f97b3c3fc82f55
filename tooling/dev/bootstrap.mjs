// Makes node_modules match pnpm-lock.yaml. Runs before `npm start` and `npm test`.
//
// A fresh machine has Node.js and npm but no pnpm, so this asks npx for the exact pnpm that
// package.json names. Only Node.js built-ins: it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const root = new URL("../../", import.meta.url);
const { packageManager, engines } = JSON.parse(read("package.json"));

const [needMajor, needMinor] = engines.node.match(/\d+/g).map(Number);
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < needMajor || (major === needMajor && minor < needMinor)) {
  console.error(`Node.js ${engines.node} is needed; this is ${process.versions.node}.`);
  process.exit(1);
}

// pnpm keeps a copy of the lockfile it installed from: equal copies mean nothing to do.
if (read("node_modules/.pnpm/lock.yaml") !== read("pnpm-lock.yaml")) {
  const { status } = spawnSync("npx", ["--yes", packageManager, "install", "--frozen-lockfile"], {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  process.exit(status ?? 1);
}

function read(path) {
  try {
    return readFileSync(new URL(path, root), "utf8");
  } catch {
    return undefined;
  }
}
