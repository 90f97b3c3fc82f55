import { expect, test } from "vitest";
import { killLoop } from "../src/index.ts";
import { freshVolume } from "./stage.ts";

test("members that are killed one after the other, whatever they do, take nothing along that was acknowledged", async () => {
  const url = await freshVolume();

  const { kills, acknowledged, contradictions } = await killLoop(url, {
    rounds: 5,
    killsPerRound: 2,
    seed: Number(process.env["SEED"] ?? 1),
  });

  expect(contradictions).toEqual([]);
  expect(kills).toBe(10);
  expect(acknowledged).toBeGreaterThan(0);
});

test("a server that stands still now and then, among members that are killed, takes nothing along either", async () => {
  const url = await freshVolume();

  const { stalls, contradictions } = await killLoop(url, {
    rounds: 2,
    killsPerRound: 2,
    seed: Number(process.env["SEED"] ?? 1),
    stallMs: 3000,
  });

  expect(contradictions).toEqual([]);
  expect(stalls).toBe(1);
});
