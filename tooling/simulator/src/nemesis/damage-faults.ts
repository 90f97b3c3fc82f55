/*
 * Faults of a device that lies: what it holds or shows is not what was written. The atlas says what may be struck.
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import type { Place, PlaceKind } from "../atlas/anatomy.ts";
import type { DamageKind, HaltingFault } from "../plan/fault-kinds.ts";
import { kindOf, type WriteKind } from "../scenario/write-kinds.ts";
import type { RandomStream } from "../world/random-stream.ts";
import type { WriteFate } from "../world/write-traps.ts";
import type { FaultHandler, Field, Strike } from "./field.ts";

/** A read is answered wrongly with this probability, if it may be. */
const MISREAD_PROBABILITY = 0.1;

/** Writes of the wanted kind that go by before one is struck. */
const SKIPPED_MAX = 6;

const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 1500;

/** Handlers of damage. */
export const DAMAGE_HANDLERS: Readonly<Record<DamageKind, FaultHandler>> = {
  "bit-rot": (field, { random }) => {
    const kind = random.pick(field.atlas.kindsFor("bit-rot"));
    const block = kind === undefined ? undefined : field.atlas.pick(kind, random);
    const place = block === undefined ? undefined : field.atlas.permits("bit-rot", block);
    if (block === undefined || place === undefined) return;
    decay(field, random, { block, place });
  },
  "lost-write": (field, strike) => strikeWrite(field, strike, "lost-write"),
  "misdirected-write": (field, strike) => strikeWrite(field, strike, "misdirected-write"),
  "misdirected-reads": (field, strike) =>
    misread(field, strike, "misdirected-reads", (block) => {
      // A neighbour is a block of the same kind more often than not.
      const bytes = new Uint8Array(BLOCK_BYTES);
      field.disk.medium.read((block + (strike.random.chance(0.5) ? 1 : -1)) * BLOCK_BYTES, bytes);
      return bytes;
    }),
  "stale-reads": (field, strike) =>
    misread(field, strike, "stale-reads", (block) => field.disk.medium.formerBlock(block)),
};

/** Handlers of damage behind which no election can end. */
export const HALTING_HANDLERS: Readonly<Record<HaltingFault, FaultHandler>> = {
  "rot-beside-torn-record": (field, { random }) => {
    const { disk, atlas, fleet } = field;
    let toSkip = random.between(0, SKIPPED_MAX);
    disk.setTrap({
      moment: "landing",
      spring: ({ offset, process }): WriteFate | undefined => {
        const twin = atlas.exposedTwin(BigInt(Math.floor(offset / BLOCK_BYTES)));
        if (twin === undefined) return undefined;
        toSkip -= 1;
        const host = fleet.everybody.find((one) => one.process === process);
        if (toSkip >= 0 || host === undefined) return undefined;
        decay(field, random, twin);
        fleet.kill(host, {
          isSilent: random.chance(0.5),
          restartMs: random.range(RESTART_MIN_MS, RESTART_MAX_MS),
        });
        return { type: "torn" };
      },
    });
  },
};

/** A block rots. */
function decay(
  field: Field,
  random: RandomStream,
  { block, place }: { readonly block: bigint; readonly place: Place },
): void {
  const bytes = new Uint8Array(BLOCK_BYTES);
  field.disk.medium.read(Number(block) * BLOCK_BYTES, bytes);
  field.disk.medium.damageBlock(Number(block), rot(bytes, random));
  struck(field, "bit-rot", block, place);
}

/** Some bits flip, or a piece becomes garbage, or all of it becomes zeros. */
function rot(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const rotten = bytes.slice();
  const dice = random.unit();
  if (dice < 0.1) return rotten.fill(0);
  if (dice < 0.4) {
    const start = random.between(0, BLOCK_BYTES - 2);
    rotten.set(random.bytes(random.between(1, BLOCK_BYTES - start)), start);
  } else {
    for (let flips = random.between(1, 4); flips > 0; flips--) {
      const at = random.between(0, BLOCK_BYTES - 1);
      rotten[at] = (rotten[at] ?? 0) ^ (1 << random.between(0, 7));
    }
  }
  return rotten;
}

/** Waits for a write that may be struck, lets some go by, and has the device swallow it. */
function strikeWrite(field: Field, { random }: Strike, damage: "lost-write" | "misdirected-write"): void {
  const { disk, atlas } = field;
  const wanted = random.pick(atlas.kindsFor(damage));
  let toSkip = random.between(0, SKIPPED_MAX);
  disk.setTrap({
    moment: "landing",
    spring: ({ bytes, offset }): WriteFate | undefined => {
      const kind = kindOf(bytes, offset, Number(disk.sizeBytes));
      const written = kind === undefined ? undefined : PLACES.get(kind);
      if (written === undefined || written.kind !== wanted) return undefined;
      const block = BigInt(offset / BLOCK_BYTES);
      const place = atlas.permits(damage, block, written);
      if (place === undefined) return undefined;
      toSkip -= 1;
      if (toSkip >= 0) return undefined;
      const target = damage === "misdirected-write" ? elsewhere(field, random, block) : undefined;
      struck(field, damage, block, place);
      return target === undefined ? { type: "lost" } : { type: "misdirected", toBlock: target };
    },
  });
}

/** Where a misdirected write of one block comes out: at another block that may be damaged, if there is one. */
function elsewhere(field: Field, random: RandomStream, from: bigint): number | undefined {
  const { atlas } = field;
  const kind = random.pick(atlas.kindsFor("bit-rot"));
  const block = kind === undefined ? undefined : atlas.pick(kind, random);
  const place = block === undefined || block === from ? undefined : atlas.permits("bit-rot", block);
  if (block === undefined || place === undefined) return undefined;
  struck(field, "bit-rot", block, place);
  return Number(block);
}

/** For a while the device answers some reads with other bytes. */
function misread(
  field: Field,
  { fault, random }: Strike,
  damage: "misdirected-reads" | "stale-reads",
  wrong: (block: number) => Uint8Array | undefined,
): void {
  const end = field.disk.filterReads((offset, into) => {
    if (!random.chance(MISREAD_PROBABILITY)) return;
    const index = random.between(0, Math.ceil(into.length / BLOCK_BYTES) - 1);
    const at = index * BLOCK_BYTES;
    if (offset % BLOCK_BYTES !== 0 || at + BLOCK_BYTES > into.length) return;
    const block = offset / BLOCK_BYTES + index;
    const place = field.atlas.permits(damage, BigInt(block));
    const bytes = place === undefined ? undefined : wrong(block);
    if (place === undefined || bytes === undefined) return;
    into.set(bytes, at);
    struck(field, damage, BigInt(block), place);
  });
  field.later(fault.lastsMs, end);
}

function struck({ atlas, counters, world }: Field, damage: DamageKind, block: bigint, place: Place): void {
  atlas.struck(damage, block, place);
  counters.add(`damage ${damage} ${place.kind}`);
  world.note("", `${damage} strikes block ${block}, a ${place.kind}`);
}

const PLACES: ReadonlyMap<WriteKind, { readonly kind: PlaceKind; readonly copy: 0 | 1 }> = new Map([
  ["record", { kind: "record", copy: 0 }],
  ["record-copy", { kind: "record", copy: 1 }],
  ["splitter-x", { kind: "mark", copy: 0 }],
  ["splitter-y", { kind: "mark", copy: 0 }],
  ["tree-node", { kind: "node", copy: 0 }],
  ["segment-footer", { kind: "segment", copy: 0 }],
]);
