import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Child, EXAMPLES } from "./child.ts";

const children: Child[] = [];
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-sessions-"));
  vi.stubEnv("SESSION_KEY", "any sixteen bytes or more");
});

afterEach(async () => {
  for (const child of children) child.process.kill("SIGKILL");
  await Promise.all(children.splice(0).map((child) => child.ended()));
  rmSync(folder, { recursive: true });
});

function start(program: string, ...rest: readonly string[]): Child {
  const child = new Child(program, [`unix:${folder}/socket`, ...rest]);
  children.push(child);
  return child;
}

test("two programs talk on while the server is killed and started again, and the client, too", async () => {
  const client = start("sessions-client.mjs");
  const first = start("sessions-server.mjs");
  client.process.stdin?.write("one\n");
  await client.printed(/one\n/);

  first.process.kill("SIGKILL");
  await first.ended();
  client.process.stdin?.write("two\nthree\n");
  const second = start("sessions-server.mjs");
  await client.printed(/three\n/);
  client.process.stdin?.end();
  const again = start("sessions-client.mjs");
  again.process.stdin?.end("four\n");

  expect(await client.ended()).toBe(0);
  expect(await again.ended()).toBe(0);
  expect(again.output).toBe(`process ${second.process.pid} heard four\n`);
  expect(client.output).toBe(
    [
      `process ${first.process.pid} heard one\n`,
      `process ${second.process.pid} heard two\n`,
      `process ${second.process.pid} heard three\n`,
    ].join(""),
  );
}, 60_000);

test("a program and its child talk on over standard streams while the child is killed and started again", async () => {
  const parent = new Child("sessions-parent.mjs", [EXAMPLES + "sessions-child.mjs"]);
  children.push(parent);
  parent.process.stdin?.write("one\n");
  const [, first = ""] = await parent.printed(/process (\d+) heard one\n/);

  process.kill(Number(first), "SIGKILL");
  parent.process.stdin?.end("two\nthree\n");

  expect(await parent.ended()).toBe(0);
  const [, second = ""] = await parent.printed(/process (\d+) heard three\n$/);
  expect(second).not.toBe(first);
  expect(parent.output).toBe(
    [`${first} heard one`, `${second} heard two`, `${second} heard three`]
      .map((said) => `process ${said}\n`)
      .join(""),
  );
}, 60_000);

test("a program streams a file from another one, whichever of them is started first", async () => {
  const path = join(folder, "file");
  const text = `${"one line of many\n".repeat(100_000)}the last one\n`;
  writeFileSync(path, text);
  const client = start("streams-client.mjs", path);
  start("streams-server.mjs");

  await client.printed(/the last one\n$/);
  expect(await client.ended()).toBe(0);
  expect(client.output).toBe(text);
}, 60_000);

test("the README of net-reliable shows these programs as they are, the first two in 20 lines", () => {
  const readme = read("../../../packages/net-reliable/README.md");

  for (const program of [
    "sessions-server.mjs",
    "sessions-client.mjs",
    "sessions-parent.mjs",
    "sessions-child.mjs",
    "streams-server.mjs",
    "streams-client.mjs",
  ]) {
    expect(readme).toContain(`\`\`\`js\n// ${program}\n${read(`../${program}`)}\`\`\``);
  }
  const both = read("../sessions-server.mjs") + read("../sessions-client.mjs");
  expect(both.trimEnd().split("\n").length).toBeLessThanOrEqual(20);
});

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), "utf8");
}
