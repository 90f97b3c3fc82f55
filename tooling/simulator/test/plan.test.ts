import { assert, bigInt, property } from "fast-check";
import { DEFAULT_MEMBER_TIMING } from "@holdfast/member";
import { describe, expect, test } from "vitest";
import {
  drawConfig,
  drawFaults,
  FAULT_KINDS,
  formatPlan,
  isDamage,
  parsePlan,
  PlanFormatError,
  planRun,
  RandomStream,
} from "../src/index.ts";

const WISHES = { membersMin: 2, membersMax: 5 };

describe("the plan of a run", () => {
  test("is the same for the same seed, and another for another", () => {
    expect(planRun(7n, WISHES)).toEqual(planRun(7n, WISHES));
    expect(planRun(7n, WISHES)).not.toEqual(planRun(8n, WISHES));
  });

  test("comes back from its text as it was", () => {
    assert(
      property(bigInt({ min: 0n, max: (1n << 64n) - 1n }), (seed) => {
        const plan = planRun(seed, WISHES);

        expect(parsePlan(formatPlan(plan))).toEqual(plan);
      }),
      { numRuns: 50 },
    );
  });

  test.each([
    ["no JSON", "{", "JSON"],
    ["no seed", '{"config":{},"faults":[]}', "seed"],
    ["a part of the shape missing", '{"seed":"1","config":{},"faults":[]}', "config.hostCount"],
    ["a name that nobody knows", planText((plan) => (plan.config["hosts"] = 3)), "hosts"],
    ["a kind that nobody knows", planText((plan) => (plan.faults[0] = { id: "x", kind: "x" })), "kind"],
    [
      "a time that is none",
      planText((plan) => (plan.faults[0] = { id: "x", kind: "crash", atMs: "1" })),
      "atMs",
    ],
  ])("is refused with %s", (_what, text, names) => {
    expect(() => parsePlan(text)).toThrow(PlanFormatError);
    expect(() => parsePlan(text)).toThrow(names);
  });

  test("has each fault under an id of its own, in the order of their times", () => {
    for (let seed = 0n; seed < 30n; seed++) {
      const { faults } = planRun(seed, WISHES);

      expect(new Set(faults.map(({ id }) => id)).size).toBe(faults.length);
      expect(faults.map(({ atMs }) => atMs)).toEqual(faults.map(({ atMs }) => atMs).sort((a, b) => a - b));
    }
  });

  test("draws the faults of one kind alike, whatever other kinds there are", () => {
    const draw = (kinds: readonly ("crash" | "pause")[]) =>
      drawFaults(new RandomStream(3n, "faults"), { chaosMs: 20_000, damage: "none", kinds })
        .filter(({ kind }) => kind === "crash")
        .map(({ id, choice }) => `${id} ${choice}`);

    const both = draw(["crash", "pause"]);

    expect(both.length).toBeGreaterThan(3);
    expect(draw(["crash"]).slice(0, both.length)).toEqual(both);
  });

  test("damages the device in runs that allow it, and in no others", () => {
    const scopes = new Set<string>();
    for (let seed = 0n; seed < 100n; seed++) {
      const { config, faults } = planRun(seed, WISHES);
      if (faults.some(({ kind }) => isDamage(kind))) scopes.add(config.damage);
    }

    expect([...scopes].sort()).toEqual(["anything", "mirrored"]);
  });

  test("never draws a fault whose outcome no judge knows", () => {
    const drawn = new Set<string>();
    for (let seed = 0n; seed < 300n; seed++)
      for (const { kind } of planRun(seed, WISHES).faults) drawn.add(kind);

    expect([...drawn].sort()).toEqual(FAULT_KINDS.filter((kind) => kind !== "roll-back-device").sort());
  });

  test("has a pause longer than every time-out in few seeds, which ends within the chaos, and nobody who would end it sooner", () => {
    const plans = Array.from({ length: 600 }, (_, seed) => planRun(BigInt(seed), WISHES));
    const outlasting = plans.filter(({ faults }) => faults.some(({ id }) => id === "long-pause"));

    expect(outlasting.length).toBeGreaterThan(3);
    expect(outlasting.length).toBeLessThan(20);
    for (const { faults, config } of outlasting) {
      const { atMs, lastsMs, kind } = faults.find(({ id }) => id === "long-pause") ?? faults[0] ?? {};
      expect(["pause", "pause-server"]).toContain(kind);
      expect(lastsMs).toBeGreaterThan(DEFAULT_MEMBER_TIMING.closeMs);
      expect(lastsMs).toBeGreaterThan(DEFAULT_MEMBER_TIMING.session.forgetMs);
      expect(config.chaosMs).toBeGreaterThan((atMs ?? 0) + (lastsMs ?? 0));
      expect(config.volume.isFenced).toBe(false);
    }
    expect(planRun(110n, { ...WISHES, chaosMs: 4000 }).config.chaosMs).toBe(4000);
  });

  test("has no more voters than members, and enough of them to elect a server", () => {
    for (let seed = 0n; seed < 200n; seed++) {
      const { hostCount, voterCount, volume } = drawConfig(new RandomStream(seed, "config"), WISHES);

      expect(voterCount).toBeLessThanOrEqual(hostCount);
      expect(volume.votes).toBeLessThanOrEqual(voterCount);
    }
  });
});

interface LoosePlan {
  readonly config: Record<string, unknown>;
  readonly faults: unknown[];
}

function planText(change: (plan: LoosePlan) => void): string {
  const plan = JSON.parse(formatPlan(planRun(1n, { ...WISHES, faults: ["crash"] }))) as LoosePlan;
  change(plan);
  return JSON.stringify(plan);
}
