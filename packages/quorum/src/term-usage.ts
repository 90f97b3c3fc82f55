import { firstTerm, lastTerm, type QuorumRegion } from "./region.ts";

/** How far the terms of a volume are used up. */
export interface TermUsage {
  /** Terms used, the one that mkfs or the last renewal took included. */
  readonly used: number;
  /** Terms there are between two renewals. */
  readonly max: number;
  /** Share of the terms that the use has reached; from `half` on a renewal should be planned. */
  readonly level: TermLevel;
}

/** Below 50 %; from 50 %; from 80 %; from 95 %; none left. */
export type TermLevel = "plenty" | "half" | "low" | "critical" | "exhausted";

/** How far the terms are used up when `term` is the latest. */
export function termUsage(region: Pick<QuorumRegion, "termBase" | "termsMax">, term: bigint): TermUsage {
  const used = Number(term - firstTerm(region)) + 1;
  const max = region.termsMax;
  return { used, max, level: levelOf((used / max) * 100, term >= lastTerm(region)) };
}

function levelOf(usedPercent: number, isLast: boolean): TermLevel {
  if (isLast) return "exhausted";
  if (usedPercent >= 95) return "critical";
  if (usedPercent >= 80) return "low";
  return usedPercent >= 50 ? "half" : "plenty";
}
