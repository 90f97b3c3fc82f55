/*
 * The members tree: what the server knows of each member, under keys that begin with its rid.
 *
 *   rid, 0                  the member's record
 *   rid, 1, first block     an extent it was granted and has not given back
 *   rid, 2, operation       the result of a mutating operation, until the member has seen it
 *   rid, 3                  whose blocks in quarantine those of `rid` are; stays until there are none
 *
 * Everything of a member is found by one scan and goes away with its record, which goes last; but for what is known of a
 * member that is gone and may still write.
 */
import { JournalRegion } from "@holdfast/item-store";
import { HoldfastError } from "@holdfast/environment";
import type { BTree } from "@holdfast/btree";
import { flag, type StructCodec, struct, text, u32, u64 } from "@holdfast/wire-format";
import { NAME_BYTES_MAX } from "../protocol.ts";
import { ProcessRecord } from "../volume/process-record.ts";
import type { StoredExtent } from "../volume/volume-state.ts";
import { OwnerRecord } from "./fencing/owner-record.ts";

/** What a commit knows of one member. */
export interface MemberRecord {
  /** Its number on this volume. */
  readonly number: number;
  /** True if it listens and votes. */
  readonly isVoter: boolean;
  /** True once it was evicted: what is left of it is being reclaimed. */
  readonly isEvicted: boolean;
  /** Term in which it joined. */
  readonly joinedTerm: bigint;
  /** Journal epochs up to this one stand in segments. */
  readonly journalEpoch: bigint;
  /** Where its journal is. */
  readonly journal: JournalRegion;
  /** Its address, empty without one. */
  readonly address: string;
  /** For people. */
  readonly name: string;
  /** Where it runs. */
  readonly process: ProcessRecord;
}

/** Layout of a member's record. */
export const MemberRecord: StructCodec<MemberRecord> = struct("MemberRecord", {
  number: u32,
  isVoter: flag,
  isEvicted: flag,
  joinedTerm: u64,
  journalEpoch: u64,
  journal: JournalRegion,
  address: text(255),
  name: text(NAME_BYTES_MAX),
  process: ProcessRecord,
});

/** Grants that one change touches at most when all of a member's are to go: each may change several leaves of other trees. */
export const GRANTS_PER_COMMIT = 32;

/** A member that gives, or records, what it was never granted. */
export class NotGrantedError extends HoldfastError<
  "ERR_HOLDFAST_NOT_GRANTED",
  { readonly rid: bigint; readonly start: bigint; readonly lengthBlocks: number }
> {
  constructor(rid: bigint, extent: StoredExtent) {
    super(
      "ERR_HOLDFAST_NOT_GRANTED",
      "protocol",
      `member ${rid.toString(16)} names blocks ${extent.start}+${extent.lengthBlocks} that it does not hold`,
      { rid, start: extent.start, lengthBlocks: extent.lengthBlocks },
    );
  }
}

const RECORD = 0;
const GRANT = 1;
const RESULT = 2;
const OWNER = 3;

/** Reads and writes the members tree; changes belong to the commit that is being made. */
export class MemberRecords {
  readonly #tree: BTree;

  constructor(tree: BTree) {
    this.#tree = tree;
  }

  /** The record of a member, undefined if it is none. */
  async get(rid: bigint): Promise<MemberRecord | undefined> {
    const value = await this.#tree.get(keyOf(rid, RECORD));
    return value === undefined ? undefined : MemberRecord.decode(value);
  }

  /** The record of a member that is not being evicted; undefined if there is none. */
  async living(rid: bigint): Promise<MemberRecord | undefined> {
    const record = await this.get(rid);
    return record?.isEvicted === true ? undefined : record;
  }

  /** Writes the record of a member. */
  put(rid: bigint, record: MemberRecord): Promise<void> {
    return this.#tree.put(keyOf(rid, RECORD), MemberRecord.encode(record));
  }

  /** Every member with its record, by rid. */
  async list(): Promise<ReadonlyMap<bigint, MemberRecord>> {
    const members = new Map<bigint, MemberRecord>();
    for await (const { key, value } of this.#tree.scan()) {
      if (key[8] === RECORD) members.set(wordAt(key, 0), MemberRecord.decode(value));
    }
    return members;
  }

  /** What is known of the owner of blocks in quarantine. */
  async owner(rid: bigint): Promise<OwnerRecord | undefined> {
    const value = await this.#tree.get(keyOf(rid, OWNER));
    return value === undefined ? undefined : OwnerRecord.decode(value);
  }

  /** Writes it. */
  putOwner(rid: bigint, owner: OwnerRecord): Promise<void> {
    return this.#tree.put(keyOf(rid, OWNER), OwnerRecord.encode(owner));
  }

  /** Forgets an owner. */
  async removeOwner(rid: bigint): Promise<void> {
    await this.#tree.delete(keyOf(rid, OWNER));
  }

  /** Every owner that is known, by rid. */
  async owners(): Promise<ReadonlyMap<bigint, OwnerRecord>> {
    const owners = new Map<bigint, OwnerRecord>();
    for await (const { key, value } of this.#tree.scan()) {
      if (key[8] === OWNER) owners.set(wordAt(key, 0), OwnerRecord.decode(value));
    }
    return owners;
  }

  /** The extents a member holds. */
  async grants(rid: bigint): Promise<readonly StoredExtent[]> {
    const extents: StoredExtent[] = [];
    for await (const { key, value } of this.#tree.scan({
      from: keyOf(rid, GRANT, 0n),
      to: keyOf(rid, GRANT, LAST_WORD),
    })) {
      extents.push({
        start: wordAt(key, 9),
        lengthBlocks: new DataView(value.buffer, value.byteOffset).getUint32(0, true),
      });
    }
    return extents;
  }

  /** Notes that a member may write to an extent. */
  grant(rid: bigint, extent: StoredExtent): Promise<void> {
    const value = new Uint8Array(4);
    new DataView(value.buffer).setUint32(0, extent.lengthBlocks, true);
    return this.#tree.put(keyOf(rid, GRANT, extent.start), value);
  }

  /**
   * Notes that a member may not write to an extent any more; the rest of the grants it lay in stays. It may span grants
   * that are neighbours: a member does not know where one ends and the next begins.
   *
   * @throws {@link NotGrantedError} `ERR_HOLDFAST_NOT_GRANTED` when a block of it is not granted.
   */
  async revoke(rid: bigint, extent: StoredExtent): Promise<void> {
    const end = extent.start + BigInt(extent.lengthBlocks);
    if (extent.lengthBlocks <= 0) throw new NotGrantedError(rid, extent);
    for (let start = extent.start; start < end;) {
      const around = await this.#grantAround(rid, start);
      const aroundEnd = around === undefined ? start : around.start + BigInt(around.lengthBlocks);
      if (around === undefined || aroundEnd <= start) throw new NotGrantedError(rid, extent);
      const cutEnd = aroundEnd < end ? aroundEnd : end;
      await this.#cut(rid, around, { start, end: cutEnd });
      start = cutEnd;
    }
  }

  /** The stored result of an operation. */
  result(rid: bigint, operation: bigint): Promise<Uint8Array | undefined> {
    return this.#tree.get(keyOf(rid, RESULT, operation));
  }

  /** Stores the result of an operation, with its effect; drops those the member has seen. */
  async keepResult(rid: bigint, operation: bigint, seen: bigint, result: Uint8Array): Promise<void> {
    await this.#deleteRange(keyOf(rid, RESULT, 0n), keyOf(rid, RESULT, seen));
    await this.#tree.put(keyOf(rid, RESULT, operation), result);
  }

  /** Removes everything of a member, its record last. */
  async remove(rid: bigint): Promise<void> {
    await this.#deleteRange(keyOf(rid, GRANT, 0n), keyOf(rid, RESULT, LAST_WORD));
    await this.#tree.delete(keyOf(rid, RECORD));
  }

  /** Takes a part out of one grant. */
  async #cut(
    rid: bigint,
    grant: StoredExtent,
    part: { readonly start: bigint; readonly end: bigint },
  ): Promise<void> {
    const before = Number(part.start - grant.start);
    const after = grant.lengthBlocks - Number(part.end - grant.start);
    if (before === 0) await this.#tree.delete(keyOf(rid, GRANT, grant.start));
    else await this.grant(rid, { start: grant.start, lengthBlocks: before });
    if (after > 0) await this.grant(rid, { start: part.end, lengthBlocks: after });
  }

  async #grantAround(rid: bigint, start: bigint): Promise<StoredExtent | undefined> {
    const range = { from: keyOf(rid, GRANT, 0n), to: keyOf(rid, GRANT, start), isReverse: true };
    for await (const { key, value } of this.#tree.scan(range)) {
      return {
        start: wordAt(key, 9),
        lengthBlocks: new DataView(value.buffer, value.byteOffset).getUint32(0, true),
      };
    }
    return undefined;
  }

  async #deleteRange(from: Uint8Array, to: Uint8Array): Promise<void> {
    const keys: Uint8Array[] = [];
    for await (const { key } of this.#tree.scan({ from, to })) keys.push(key.slice());
    for (const key of keys) await this.#tree.delete(key);
  }
}

const LAST_WORD = (1n << 64n) - 1n;

function keyOf(rid: bigint, kind: number, word?: bigint): Uint8Array {
  const key = new Uint8Array(word === undefined ? 9 : 17);
  const view = new DataView(key.buffer);
  view.setBigUint64(0, rid);
  view.setUint8(8, kind);
  if (word !== undefined) view.setBigUint64(9, word);
  return key;
}

function wordAt(key: Uint8Array, offset: number): bigint {
  return new DataView(key.buffer, key.byteOffset, key.byteLength).getBigUint64(offset);
}
