import { type SegmentRef } from "@holdfast/segment";
import { type Key, KEY_BYTES } from "@holdfast/wire-format";
import { type CompactionPlan, ManifestView } from "../src/index.ts";

/** Manifest as a picture, and the segments that are busy in it. */
export interface Picture {
  readonly view: ManifestView;
  readonly busyIds: ReadonlySet<bigint>;
}

/** The key that a letter stands for. */
export function keyOf(letter: string): Key {
  return new Uint8Array(KEY_BYTES).fill(letter.charCodeAt(0), 0, 1);
}

/**
 * Reads a picture: one line per level, each segment as `first-last`, level 0 from old to new. Behind it `*` says busy,
 * `.` says small (8 blocks instead of a full segment), `~` says that it holds tombstones.
 */
export function picture(...lines: readonly string[]): Picture {
  let id = 0n;
  const busyIds = new Set<bigint>();
  const refs = lines.flatMap((line, level) =>
    line
      .split(" ")
      .filter((word) => word !== "")
      .map((word) => {
        id += 1n;
        if (word.includes("*")) busyIds.add(id);
        return refOf(word, level, id);
      }),
  );
  return { view: ManifestView.of(refs), busyIds };
}

/** A segment as a word of a picture describes it. */
export function refOf(word: string, level: number, id: bigint): SegmentRef {
  const lengthBlocks = word.includes(".") ? 8 : 1024;
  const start = id * 2000n;
  return {
    id,
    extent: { start, lengthBlocks },
    footer: { address: start + BigInt(lengthBlocks) - 1n, seq: id, hash: new Uint8Array(16).fill(1) },
    level,
    order: level === 0 ? id : 0n,
    first: keyOf(word.charAt(0)),
    last: keyOf(word.charAt(2)),
    itemCount: 10,
    tombstoneCount: word.includes("~") ? 1 : 0,
    seqMax: id,
    writer: 1n,
  };
}

/** A plan in words: what moves from where to where, and how. */
export function words(plan: CompactionPlan | undefined): string {
  if (plan === undefined) return "nothing";
  const { upperLevel, upper, lower, isMove, dropTombstones, splitAfter } = plan;
  const names = (refs: readonly SegmentRef[]): string => refs.map(nameOf).join(" ");
  const verb = isMove ? "move" : "merge";
  const below = lower.length === 0 ? "" : ` with ${names(lower)}`;
  const split = splitAfter === undefined ? "" : " in part";
  return `${verb} ${upperLevel}: ${names(upper)}${below}${split}${dropTombstones && !isMove ? ", last" : ""}`;
}

function nameOf({ first, last }: SegmentRef): string {
  return `${String.fromCharCode(first[0] ?? 0)}-${String.fromCharCode(last[0] ?? 0)}`;
}
