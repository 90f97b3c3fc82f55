import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Child } from "./child.ts";

const LEADING = /leading with token (\d+)/;

describe("programs that share a file", () => {
  const children: Child[] = [];
  let folder = "";
  let path = "";

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "holdfast-leader-"));
    path = join(folder, "election");
    expect(await new Child("format-election.mjs", [path]).ended()).toBe(0);
  });

  afterEach(async () => {
    for (const child of children) child.process.kill("SIGKILL");
    await Promise.all(children.splice(0).map((child) => child.ended()));
    rmSync(folder, { recursive: true });
  });

  function startCandidate(): Child {
    const child = new Child("leader.mjs", [path]);
    children.push(child);
    return child;
  }

  async function tokenOf(child: Child): Promise<bigint> {
    const [, token = ""] = await child.printed(LEADING);
    return BigInt(token);
  }

  test("have a leader, and when it is killed another one with a greater token", async () => {
    const candidates = [startCandidate(), startCandidate(), startCandidate()];
    const first = await Promise.race(
      candidates.map(async (child) => ({ child, token: await tokenOf(child) })),
    );
    const others = candidates.filter((child) => child !== first.child);

    first.child.process.kill("SIGKILL");
    const second = await Promise.race(others.map(async (child) => ({ child, token: await tokenOf(child) })));

    expect(second.token).toBeGreaterThan(first.token);
  });

  test("have a new leader while the old one is stopped, and its check tells the old one when it goes on", async () => {
    const old = startCandidate();
    const token = await tokenOf(old);
    const next = startCandidate();

    old.process.kill("SIGSTOP");
    expect(await tokenOf(next)).toBeGreaterThan(token);
    old.process.stdin?.write("work\n");
    old.process.kill("SIGCONT");

    await old.printed(/refused: ERR_HOLDFAST_DEPOSED/);
    await old.printed(/lost: ERR_HOLDFAST_DEPOSED/);
    expect(old.output).not.toContain("still leading");
    next.process.stdin?.write("work\n");
    await next.printed(/still leading/);
  });

  test("follow a leader that resigns", async () => {
    const old = startCandidate();
    const token = await tokenOf(old);
    const next = startCandidate();

    old.process.kill("SIGTERM");

    await old.printed(/resigned/);
    expect(await tokenOf(next)).toBeGreaterThan(token);
  });
}, 30_000);

test("the README shows the very programs that run here", () => {
  const readme = read("../../../packages/quorum/README.md");

  expect(readme).toContain(read("../leader.mjs").trim());
  expect(readme).toContain(read("../format-election.mjs").trim());
});

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), "utf8");
}
