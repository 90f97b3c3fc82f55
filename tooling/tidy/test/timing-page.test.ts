/*
 * docs/operations/timing.md lists the default times; here it is held to them.
 */
import { readFileSync } from "node:fs";
import { DEFAULT_MEMBER_TIMING } from "@holdfast/member";
import { expect, test } from "vitest";
import { REPOSITORY_ROOT } from "../src/index.ts";

const page = readFileSync(new URL("docs/operations/timing.md", REPOSITORY_ROOT), "utf8");

test("docs/operations/timing.md lists every time with its default", () => {
  const rows = [...page.matchAll(/^\| `([\w.]+)` \| (\d+) \|/gm)].map(([, name = "", value]) => [
    name,
    Number(value),
  ]);

  expect(Object.fromEntries(rows)).toEqual(flatten(DEFAULT_MEMBER_TIMING));
});

/** `{ session: { heartbeatMs: 1 } }` as `{ "session.heartbeatMs": 1 }`. */
function flatten(times: object, prefix = ""): Readonly<Record<string, unknown>> {
  const entries = Object.entries(times).flatMap(([name, value]: [string, unknown]) =>
    typeof value === "object" && value !== null
      ? Object.entries(flatten(value, `${prefix}${name}.`))
      : [[`${prefix}${name}`, value] as const],
  );
  return Object.fromEntries(entries);
}
