import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Child } from "./child.ts";

const LEADING = /leading with token (\d+)/;

describe("programs that share a file", () => {
  const children: Child[] = [];
  let folder = "";
  let path = "";

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "holdfast-leader-"));
    path = join(folder, "election");
    writeFileSync(path, new Uint8Array(4 * 1024 * 1024));
  });

  afterEach(async () => {
    for (const child of children) child.process.kill("SIGKILL");
    await Promise.all(children.splice(0).map((child) => child.ended()));
    rmSync(folder, { recursive: true });
  });

  function startCandidate(...more: readonly string[]): Child {
    const child = new Child("leader.mjs", [path, ...more]);
    children.push(child);
    return child;
  }

  /** The first of all, which makes the election. */
  async function startFirst(): Promise<{ readonly child: Child; readonly token: bigint }> {
    const child = startCandidate("new");
    return { child, token: await tokenOf(child) };
  }

  async function tokenOf(child: Child): Promise<bigint> {
    const [, token = ""] = await child.printed(LEADING);
    return BigInt(token);
  }

  test("have a leader, and when it is killed another one with a greater token", async () => {
    const first = await startFirst();
    const others = [startCandidate(), startCandidate()];

    first.child.process.kill("SIGKILL");
    const second = await Promise.race(others.map(tokenOf));

    expect(second).toBeGreaterThan(first.token);
  });

  test("have a new leader while the old one is stopped, and its check tells the old one when it goes on", async () => {
    const { child: old, token } = await startFirst();
    const next = startCandidate();

    old.process.kill("SIGSTOP");
    expect(await tokenOf(next)).toBeGreaterThan(token);
    old.process.stdin?.write("work\n");
    old.process.kill("SIGCONT");

    await old.printed(/ERR_HOLDFAST_DEPOSED/);
    await old.ended();
    expect(old.output).not.toContain("done");
    next.process.stdin?.write("work\n");
    await next.printed(/done under token \d+: work/);
  });

  test("follow a leader that resigns", async () => {
    const { child: old, token } = await startFirst();
    const next = startCandidate();

    old.process.kill("SIGTERM");

    await old.printed(/resigned/);
    expect(await tokenOf(next)).toBeGreaterThan(token);
  });
}, 30_000);

test("the README of quorum shows the very program that runs here, and it has 15 lines", () => {
  const program = read("../leader.mjs");

  expect(read("../../../packages/quorum/README.md")).toContain(`\`\`\`js\n// leader.mjs\n${program}\`\`\``);
  expect(program.trimEnd().split("\n")).toHaveLength(15);
});

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), "utf8");
}
