/*
 * The session that docs/operations/first-five-minutes.md shows, typed into a shell again.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();
const COMMAND = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const PAGE = new URL("../../../docs/operations/first-five-minutes.md", import.meta.url);
const MARK = "-- next --";

/** One command of the page and what it prints. */
interface Step {
  readonly command: string;
  readonly output: string;
}

function stepsOf(page: string): readonly Step[] {
  const sessions = [...page.matchAll(/^```console\n(.*?)^```/gms)].map(([, session = ""]) => session);
  return sessions.flatMap((session) =>
    session
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const [command = "", ...lines] = step.split("\n");
        return { command, output: lines.join("\n").trim() };
      }),
  );
}

/** A shell line that does what a person does: waits until a member runs, or has ended, before typing on. */
function typed(command: string): string {
  if (command.endsWith("&"))
    return `${command.replace(/&$/, ">ready &")}\nIFS= read -r line <ready; printf '%s\\n' "$line"`;
  if (command.startsWith("kill")) return `${command}; { wait ${command.split(" ").at(-1)}; } 2>/dev/null`;
  return command;
}

/** What differs from one run to the next is not compared, nor the order of members. */
function comparable(output: string): readonly string[] {
  return output
    .replaceAll(/\b[0-9a-f]{16}\b/g, "ID")
    .replaceAll(/[\d.]+ (?:B|KiB|MiB) (?=free|in quarantine)/g, "SIZE ")
    .replaceAll(/in [\d.]+ s \(\d+\/s\)/g, "in TIME")
    .replaceAll(/(?<=process |term |terms +|level 0: |"time":|"pid":|"term":)\d+/g, "NUMBER")
    .replaceAll(/"hostname":"[^"]*"/g, "HOST")
    .split("\n")
    .toSorted();
}

test("the first five minutes go as the page shows them", async () => {
  const steps = stepsOf(readFileSync(PAGE, "utf8"));
  const cities = steps.find(({ command }) => command === "cat cities.jsonl")?.output ?? "";
  await writeFile(place.path("cities.jsonl"), `${cities}\n`);
  await mkdir(place.path("bin"));
  await writeFile(place.path("bin/holdfast"), `#!/bin/sh\nexec "${process.execPath}" "${COMMAND}" "$@"\n`);
  await chmod(place.path("bin/holdfast"), 0o755);
  const script = [
    "set -m; exec 2>&1; mkfifo ready; last=0",
    "trap 'kill -9 $(jobs -p) 2>/dev/null' EXIT",
    ...steps.map(({ command }) => `(exit $last)\n${typed(command)}\nlast=$?; printf '\\n${MARK}\\n'`),
  ].join("\n");

  const { stdout } = spawnSync("bash", ["-c", script], {
    cwd: place.directory,
    env: {
      ...process.env,
      PATH: `${place.path("bin")}:${process.env["PATH"]}`,
      XDG_RUNTIME_DIR: place.directory,
    },
    encoding: "utf8",
  });

  const printed = stdout.split(MARK).map((output) => output.trim());
  expect(steps.length).toBeGreaterThan(20);
  for (const [index, { command, output }] of steps.entries())
    expect({ command, output: comparable(printed[index] ?? "") }).toEqual({
      command,
      output: comparable(output),
    });
});
