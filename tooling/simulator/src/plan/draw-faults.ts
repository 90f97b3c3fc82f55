/*
 * The faults of a run, drawn before anything happens.
 *
 * Each seed first draws which kinds it knows at all (a "swarm"), then how dense they are, then when each strikes. Each
 * kind has a stream of its own, each fault a label that names its chance while it strikes: a plan without one of
 * its faults is the same plan otherwise.
 */
import type { RandomStream } from "../world/random-stream.ts";
import { drawableKinds, type FaultKind, isDamage, isHalting } from "./fault-kinds.ts";
import type { DamageScope } from "./run-config.ts";

/** One fault of a plan. */
export interface Fault {
  /** Unique in its plan; labels the chance that the fault uses when it strikes. */
  readonly id: string;
  readonly kind: FaultKind;
  /** When it strikes, milliseconds after the start of chaos. */
  readonly atMs: number;
  /** How long it lasts, milliseconds. */
  readonly lastsMs: number;
  /** Chooses its victims and its variant, 0 … 2^32−1. */
  readonly choice: number;
}

/** What faults are drawn from. */
export interface FaultWishes {
  /** Length of the chaos, milliseconds. */
  readonly chaosMs: number;
  readonly damage: DamageScope;
  /** Kinds to use, all of them; without it each seed draws its own. */
  readonly kinds?: readonly FaultKind[] | undefined;
}

/** The members get so long to work undisturbed. */
const FIRST_MS = 300;

/** Mean time between two faults of a run, whatever their kinds: from hectic to calm. */
const GAP_MIN_MS = 150;
const GAP_MAX_MS = 700;

const LASTS_MIN_MS = 30;
const LASTS_MAX_MS = 5000;
const SWARM_PROBABILITY = 0.25;

/** A run with damage has some: one kind of it at least. */
const DAMAGE_PROBABILITY = 0.5;

/** Of runs with damage, those that may end with it. */
const HALTING_PROBABILITY = 0.15;

/** Draws the faults of one run, in the order of their times. */
export function drawFaults(random: RandomStream, wishes: FaultWishes): Fault[] {
  const kinds = wishes.kinds ?? drawKinds(random.fork("kinds"), wishes.damage);
  const gapMs = random.fork("density").range(GAP_MIN_MS, GAP_MAX_MS) * kinds.length;
  return kinds
    .flatMap((kind) => drawKind(random.fork(kind), { kind, gapMs, chaosMs: wishes.chaosMs }))
    .sort((a, b) => a.atMs - b.atMs);
}

function drawKind(
  random: RandomStream,
  { kind, gapMs, chaosMs }: { readonly kind: FaultKind; readonly gapMs: number; readonly chaosMs: number },
): Fault[] {
  const faults: Fault[] = [];
  let atMs = FIRST_MS;
  while (true) {
    atMs += -Math.log(1 - random.unit()) * gapMs;
    if (atMs >= chaosMs) return faults;
    const lastsMs = Math.exp(random.range(Math.log(LASTS_MIN_MS), Math.log(LASTS_MAX_MS)));
    const id = `${kind}-${faults.length + 1}`;
    faults.push({ id, kind, atMs: rounded(atMs), lastsMs: rounded(lastsMs), choice: random.u32() });
  }
}

function drawKinds(random: RandomStream, damage: DamageScope): FaultKind[] {
  const drawn = drawableKinds(damage).filter((kind) => random.fork(kind).chance(probabilityOf(kind)));
  const least: FaultKind[] = drawn.length === 0 ? ["crash-server"] : [];
  if (damage !== "none" && !drawn.some(isDamage)) least.push("bit-rot");
  return [...drawn, ...least];
}

function probabilityOf(kind: FaultKind): number {
  if (isHalting(kind)) return HALTING_PROBABILITY;
  return isDamage(kind) ? DAMAGE_PROBABILITY : SWARM_PROBABILITY;
}

/** Microseconds are fine enough, and short in a file. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
