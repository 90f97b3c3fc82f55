import type { Logger } from "@holdfast/environment";
import { expect, test } from "vitest";
import { QuarantineAlarm } from "../../../src/server/fencing/quarantine-alarm.ts";

test("F8: more than a tenth of the volume in quarantine is told once, and once when it is over", () => {
  const lines: unknown[] = [];
  const keep = (facts: { readonly event?: string; readonly blocks?: number }): void => {
    lines.push([facts.event, facts.blocks]);
  };
  const log: Logger = { debug: keep, info: keep, warn: keep, error: keep };
  const alarm = new QuarantineAlarm(1000, log);

  for (const blocks of [0, 100, 101, 500, 101, 100, 0, 200])
    alarm.recorded({ blocks, extentCount: blocks === 0 ? 0 : 1 });

  expect(lines).toEqual([
    ["quarantine.alarm", 101],
    ["quarantine.alarm-over", 100],
    ["quarantine.alarm", 200],
  ]);
});
