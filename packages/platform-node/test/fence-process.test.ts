import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { ProcessIdentity } from "@holdfast/environment";
import { nodeProcesses, parseProcessStat, type ProcessStat } from "../src/index.ts";

const { own } = nodeProcesses;

/** A process that runs until it is killed, and what its host knows of it. */
async function start(): Promise<{ readonly identity: ProcessIdentity; readonly kill: () => Promise<void> }> {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  await once(child, "spawn");
  const pid = child.pid ?? 0;
  const { startTime } = parseProcessStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  return {
    identity: { ...own, pid, startTime },
    kill: async () => {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

test("a process knows its host, the start of the host's kernel, its id and its own start", () => {
  expect(own.bootId).toMatch(/^[0-9a-f-]{36}$/);
  expect(own.pid).toBe(process.pid);
  expect(own.startTime).toBeGreaterThan(0n);
  expect(own.namespace).toBeGreaterThan(0n);
  expect(own.hostName).not.toBe("");
});

test("a process that runs is not gone; once it is killed it is", async () => {
  const { identity, kill } = await start();

  const before = await nodeProcesses.isGone(identity);
  await kill();

  expect(before).toBe(false);
  expect(await nodeProcesses.isGone(identity)).toBe(true);
});

test("a process id that another process has now is gone, and that other process goes on", async () => {
  const { identity, kill } = await start();

  expect(await nodeProcesses.isGone({ ...identity, startTime: identity.startTime - 1n })).toBe(true);

  expect(await nodeProcesses.isGone(identity)).toBe(false);
  await kill();
});

test.each([
  ["another boot", { bootId: "0fc4b2a8-0000-0000-0000-000000000000" }],
  ["an unknown boot", { bootId: "" }],
  ["another namespace of process ids", { namespace: own.namespace + 1n }],
  ["no process id", { pid: 0 }],
])("of a process of %s nothing is said", async (_, difference) => {
  expect(await nodeProcesses.isGone({ ...own, pid: 2 ** 22 + 1, ...difference })).toBe(false);
});

test("a dead process that its parent has not buried is gone when no thread of it is left", async () => {
  // What follows `exec` does not wait for its child.
  const parent = spawn("sh", ["-c", "sleep 0.1 & echo $!; exec sleep 60"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line]: unknown[] = await once(parent.stdout, "data");
  const pid = Number(String(line));
  const stat = (): ProcessStat => parseProcessStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  const { startTime } = stat();

  await expect.poll(() => stat().state).toBe("Z");

  expect(await nodeProcesses.isGone({ ...own, pid, startTime })).toBe(true);
  parent.kill("SIGKILL");
  await once(parent, "exit");
});

test.each([
  ["", own.bootId],
  ["0", own.bootId],
  ["1", ""],
])(
  "a process whose writes may outlive it (UV_USE_IO_URING=%s) says nothing of itself",
  async (setting, bootId) => {
    const script =
      'import { nodeProcesses } from "@holdfast/platform-node"; process.stdout.write(`<${nodeProcesses.own.bootId}>`);';
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      cwd: new URL("..", import.meta.url),
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...(setting === "" ? {} : { UV_USE_IO_URING: setting }) },
    });

    const [said]: unknown[] = await once(child.stdout, "data");

    expect(String(said)).toBe(`<${bootId}>`);
  },
);

test("a name with blanks and parentheses does not confuse what is read of a process", () => {
  const line = readFileSync("/proc/self/stat", "utf8").replace(/\(.*\)/, "(a) b (c) Z 1)");

  expect(parseProcessStat(line).startTime).toBe(own.startTime);
  expect(() => parseProcessStat("17 (x) R 1")).toThrow(RangeError);
});
