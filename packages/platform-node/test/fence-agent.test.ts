import { readFileSync } from "node:fs";
import { chmod, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FenceTarget, UNKNOWN_PROCESS } from "@holdfast/environment";
import { executableFenceAgent, parseProcessStat } from "../src/index.ts";

const TARGET: FenceTarget = {
  rid: 0xabcn,
  address: "tcp://10.0.0.7:4000",
  process: { ...UNKNOWN_PROCESS, hostName: "node-7", pid: 4711 },
  reason: "it was silent",
};
const RID = "0000000000000abc";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-agent-"));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
async function agent(script: string): Promise<string> {
  count += 1;
  const path = join(folder, `agent-${count}`);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

/** False for a process that is dead, buried or not. */
function runs(pid: number): boolean {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, "utf8")).state !== "Z";
  } catch {
    return false;
  }
}

test("an agent is told whom to fence, and exit code 0 confirms it", async () => {
  const seen = join(folder, "seen");
  const path = await agent(
    `echo "$HOLDFAST_FENCE_RID|$HOLDFAST_FENCE_ADDRESS|$HOLDFAST_FENCE_HOST|$HOLDFAST_FENCE_PID|$HOLDFAST_FENCE_REASON" > ${seen}; echo detached`,
  );

  const answer = await executableFenceAgent(path).fence(TARGET).answer;

  expect(answer).toEqual({ rid: 0xabcn, isConfirmed: true, detail: "detached" });
  expect(await readFile(seen, "utf8")).toBe(`${RID}|tcp://10.0.0.7:4000|node-7|4711|it was silent\n`);
});

test.each([
  ["another exit code", "echo no such host >&2; exit 3", "it ended with code 3: no such host"],
  ["a signal", "kill -TERM $$", "it ended with SIGTERM: "],
])("%s confirms nothing", async (_, script, detail) => {
  const answer = await executableFenceAgent(await agent(script)).fence(TARGET).answer;

  expect(answer).toEqual({ rid: 0xabcn, isConfirmed: false, detail });
});

test("an agent that cannot be run confirms nothing", async () => {
  const answer = await executableFenceAgent(join(folder, "absent")).fence(TARGET).answer;

  expect(answer).toMatchObject({ isConfirmed: false, detail: expect.stringContaining("cannot be run") });
});

test.each([
  ["a path through a file", (path: string) => join(path, "below")],
  ["a name longer than any file's", (path: string) => `${path}${"x".repeat(300)}`],
  ["no text that can name a file", (path: string) => `${path}\0`],
])("an agent whose path is %s confirms nothing", async (_, pathOf) => {
  const { answer, cancel } = executableFenceAgent(pathOf(await agent("exit 0"))).fence(TARGET);

  expect(await answer).toMatchObject({
    isConfirmed: false,
    detail: expect.stringContaining("cannot be run"),
  });
  cancel();
});

test("an agent whose file is open for writing confirms nothing", async () => {
  const path = await agent("exit 0");
  const file = await open(path, "r+");
  try {
    expect(await executableFenceAgent(path).fence(TARGET).answer).toMatchObject({ isConfirmed: false });
  } finally {
    await file.close();
  }
});

test("an agent that hangs is killed with all it started", async () => {
  const pids = join(folder, "pids");
  const path = await agent(`sleep 100 & echo $! > ${pids}; wait`);

  const answer = await executableFenceAgent(path, 300).fence(TARGET).answer;

  expect(answer).toMatchObject({ isConfirmed: false, detail: "it did not answer within 0.3 s" });
  const pid = Number(await readFile(pids, "utf8"));
  await expect.poll(() => runs(pid)).toBe(false);
});

test("an agent says whom it fenced, if it says so", async () => {
  const right = await agent('echo "fenced $HOLDFAST_FENCE_RID"');
  const wrong = await agent("echo fenced 00000000000000ff");

  expect(await executableFenceAgent(right).fence(TARGET).answer).toMatchObject({ rid: 0xabcn });
  expect(await executableFenceAgent(wrong).fence(TARGET).answer).toMatchObject({ rid: 0xffn });
});

test.each([
  ["behind much else that it says", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo fenced ff"],
  ["in capital letters", "echo FENCED 00000000000000FF"],
  ["with a prefix", "echo fenced 0xff"],
  ["beside the right one", 'echo "fenced $HOLDFAST_FENCE_RID"; echo fenced ff'],
  ["without an end of the line", "printf 'fenced ff'"],
  ["while it says something else to the other stream", "printf 'warning: ' >&2; sleep 0.1; echo fenced ff"],
])("an agent that names somebody else %s has not fenced who was asked about", async (_, script) => {
  const answer = await executableFenceAgent(await agent(script)).fence(TARGET).answer;

  expect(answer).toMatchObject({ rid: 0xffn });
});

test("an agent is not waited for once the server has stopped", async () => {
  const { answer, cancel } = executableFenceAgent(await agent("sleep 100")).fence(TARGET);

  cancel();
  cancel();

  expect(await answer).toMatchObject({ isConfirmed: false });
});
