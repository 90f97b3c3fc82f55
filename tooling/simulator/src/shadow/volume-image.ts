/*
 * What a committed record says of the volume: what it reaches and who may write where.
 */
import { type QuarantineEntry, quarantineEntry } from "@holdfast/alloc-extent";
import { MemberRecord, VolumeState } from "@holdfast/member";
import { SegmentRef } from "@holdfast/segment";
import type { Medium } from "../world/medium.ts";
import type { BlockRun } from "./block-runs.ts";
import { MediumTree } from "./medium-tree.ts";

/** What a member may write to, as of one commit. */
export interface MemberImage {
  record: MemberRecord | undefined;
  readonly grants: BlockRun[];
}

/** A volume as of one commit. */
export interface VolumeImage {
  readonly state: VolumeState;
  /** Blocks of all tree nodes. */
  readonly nodes: ReadonlySet<bigint>;
  readonly segments: readonly SegmentRef[];
  readonly members: ReadonlyMap<bigint, MemberImage>;
  /** What is in quarantine, by its last owner. */
  readonly quarantine: ReadonlyMap<bigint, readonly BlockRun[]>;
}

type MemberItem =
  | { readonly rid: bigint; readonly record: MemberRecord }
  | { readonly rid: bigint; readonly grant: BlockRun };

/** An entry of the free-space tree, which has each extent twice. */
export interface FreeItem extends BlockRun {
  readonly order: "start" | "length";
}

/** Reads what records say, from the medium. */
export class VolumeReader {
  readonly #members: MediumTree<MemberItem>;
  readonly #manifest: MediumTree<SegmentRef>;
  readonly #quarantine: MediumTree<QuarantineEntry>;
  readonly #free: MediumTree<FreeItem>;

  constructor(source: { readonly medium: Medium; readonly fsid: bigint }) {
    this.#members = new MediumTree(source, memberItem);
    this.#manifest = new MediumTree(source, (_key, value) => SegmentRef.decode(value));
    this.#quarantine = new MediumTree(source, (key, value) => quarantineEntry({ key, value }));
    this.#free = new MediumTree(source, freeItem);
  }

  /**
   * The volume as a record has it.
   *
   * @throws {@link BlockError} or {@link TreeCorruptError} when the record reaches what is not on the medium.
   */
  imageOf(payload: Uint8Array): VolumeImage {
    const state = VolumeState.decode(payload);
    const trees = {
      members: this.#members.imageOf(state.membersRoot),
      manifest: this.#manifest.imageOf(state.manifestRoot),
      quarantine: this.#quarantine.imageOf(state.quarantineRoot),
      free: this.#free.imageOf(state.freeRoot),
    };
    const quarantine = new Map<bigint, BlockRun[]>();
    for (const { owner, extent } of trees.quarantine.items) {
      const runs = quarantine.get(owner);
      if (runs === undefined) quarantine.set(owner, [extent]);
      else runs.push(extent);
    }
    return {
      state,
      nodes: new Set(Object.values(trees).flatMap(({ nodes }) => nodes)),
      segments: trees.manifest.items,
      members: membersOf(trees.members.items),
      quarantine,
    };
  }

  /** The entries of free space, in both orders. @throws as {@link imageOf}. */
  freeOf(state: VolumeState): readonly FreeItem[] {
    return this.#free.imageOf(state.freeRoot).items;
  }
}

/** Kinds of entries in the members tree; results of operations, kind 2, say nothing about blocks. */
const RECORD = 0;
const GRANT = 1;

function memberItem(key: Uint8Array, value: Uint8Array): MemberItem | undefined {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  const rid = view.getBigUint64(0);
  if (key[8] === RECORD) return { rid, record: MemberRecord.decode(value) };
  if (key[8] !== GRANT) return undefined;
  const lengthBlocks = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
  return { rid, grant: { start: view.getBigUint64(9), lengthBlocks } };
}

function membersOf(items: readonly MemberItem[]): Map<bigint, MemberImage> {
  const members = new Map<bigint, MemberImage>();
  for (const item of items) {
    const member = members.get(item.rid) ?? { record: undefined, grants: [] };
    members.set(item.rid, member);
    if ("record" in item) member.record = item.record;
    else member.grants.push(item.grant);
  }
  return members;
}

function freeItem(key: Uint8Array, value: Uint8Array): FreeItem {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  if (key[0] !== 1) {
    return { order: "length", lengthBlocks: Number(view.getBigUint64(1)), start: view.getBigUint64(9) };
  }
  const lengthBlocks = Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
  return { order: "start", start: view.getBigUint64(1), lengthBlocks };
}
