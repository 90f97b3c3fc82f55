/*
 * Sealed blocks: 4 KiB that say what they are, where they belong and who wrote them.
 *
 * A block is valid at its place when: it has 4096 bytes; the checksum covers them; the magic is ours; the file
 * system is the one that was opened; the block number it names is the one it was read from; the type is the one
 * expected; the reserved bytes and everything behind the payload are zero. A lost write cannot be seen from the
 * block alone: parents keep {address, seq, hash} of their children for that ({@link BlockRef}).
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import { crc32c } from "./crc32c.ts";
import { BlockError } from "./errors.ts";
import { bytes, u16, u32, u64 } from "./fields.ts";
import { HASH128_BYTES, hash128 } from "./hash128.ts";
import { compareBytes } from "./key.ts";
import { type StructCodec, struct } from "./struct.ts";

/** What a block says of itself. The table in docs/formats is made from the declaration below. */
export interface BlockHeader {
  /** CRC-32C of bytes 4 … 4095. */
  readonly checksum: number;
  /** {@link BLOCK_MAGIC}. */
  readonly magic: number;
  /** Identity of the volume. */
  readonly fsid: bigint;
  /** Number of this block on the device, in units of 4 KiB. */
  readonly address: bigint;
  /** Term under which it was written; 0 for blocks that belong to no term. */
  readonly term: bigint;
  /** Member that wrote it; 0 for mkfs. */
  readonly writer: bigint;
  /** Orders versions of the same place or thing; its meaning belongs to the type. */
  readonly seq: bigint;
  /** What the payload is: one of {@link BlockType}. */
  readonly type: number;
  /** Bytes of payload, 0 … {@link BLOCK_PAYLOAD_BYTES}. */
  readonly length: number;
  /** Zero. */
  readonly reserved: Uint8Array;
}

/** Layout of the header. */
export const BlockHeader: StructCodec<BlockHeader> = struct("BlockHeader", {
  checksum: u32,
  magic: u32,
  fsid: u64,
  address: u64,
  term: u64,
  writer: u64,
  seq: u64,
  type: u16,
  length: u16,
  reserved: bytes(12),
});

/** "HFB1", little-endian. */
export const BLOCK_MAGIC = 0x31424648;

/** Bytes of payload that a block holds: 4032. */
export const BLOCK_PAYLOAD_BYTES: number = BLOCK_BYTES - BlockHeader.sizeBytes;

/** Every type of block on a volume; a number is never given twice. */
export const BlockType = {
  super: 1,
  hint: 2,
  pristine: 3,
  splitterX: 4,
  splitterY: 5,
  record: 6,
  treeNode: 7,
  segmentFooter: 8,
  journal: 9,
  election: 10,
} as const;

/** What the writer of a block says of it. */
export type BlockIdentity = Pick<BlockHeader, "fsid" | "address" | "term" | "writer" | "seq" | "type">;

/** What the reader of a block expects. */
export interface BlockExpectation {
  readonly fsid: bigint;
  readonly address: bigint;
  /** Types that are acceptable. */
  readonly types: readonly number[];
}

/** An opened block. */
export interface OpenedBlock {
  readonly header: BlockHeader;
  /** A view into the block that was given. */
  readonly payload: Uint8Array;
}

/** What a parent keeps of its child, so that a lost, misdirected or stale block is an error, never data. */
export interface BlockRef {
  /** Number of the block. */
  readonly address: bigint;
  /** The child's `seq`. */
  readonly seq: bigint;
  /** {@link hash128} of its 4096 bytes. */
  readonly hash: Uint8Array;
}

/** Layout of a reference. */
export const BlockRef: StructCodec<BlockRef> = struct("BlockRef", {
  address: u64,
  seq: u64,
  hash: bytes(HASH128_BYTES),
});

/** The reference that names nothing: address 0, where no tree node can be. */
export const NO_BLOCK: BlockRef = { address: 0n, seq: 0n, hash: new Uint8Array(HASH128_BYTES) };

/**
 * Seals a payload into 4096 new bytes.
 *
 * @throws RangeError when the payload is longer than {@link BLOCK_PAYLOAD_BYTES}.
 */
export function sealBlock(identity: BlockIdentity, payload: Uint8Array): Uint8Array {
  checkLength(payload.length);
  const block = new Uint8Array(BLOCK_BYTES);
  block.set(payload, BlockHeader.sizeBytes);
  resealBlock(identity, payload.length, block);
  return block;
}

/**
 * Seals in place: the payload already stands behind the header's 64 bytes of `block`; what stands behind the payload
 * becomes zero.
 *
 * @throws RangeError when the block or the payload has an impossible length.
 */
export function resealBlock(identity: BlockIdentity, length: number, block: Uint8Array): void {
  if (block.length !== BLOCK_BYTES)
    throw new RangeError(`a block has ${BLOCK_BYTES} bytes, not ${block.length}`);
  checkLength(length);
  block.fill(0, BlockHeader.sizeBytes + length);
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_BYTES);
  BlockHeader.write(view, 0, { checksum: 0, magic: BLOCK_MAGIC, ...identity, length, reserved: RESERVED });
  view.setUint32(0, crc32c(block, 4), true);
}

const RESERVED = new Uint8Array(12);

function checkLength(payloadBytes: number): void {
  if (payloadBytes > BLOCK_PAYLOAD_BYTES)
    throw new RangeError(`a block holds ${BLOCK_PAYLOAD_BYTES} bytes, not ${payloadBytes}`);
}

/**
 * Opens a block that was read from `expected.address`.
 *
 * @throws {@link BlockError} naming the first condition of validity that does not hold.
 */
export function openBlock(block: Uint8Array, expected: BlockExpectation): OpenedBlock {
  const { address } = expected;
  if (block.length !== BLOCK_BYTES) {
    throw new BlockError(
      "ERR_HOLDFAST_BLOCK_SIZE",
      `block ${address} has ${block.length} bytes instead of ${BLOCK_BYTES}`,
      { block: address },
    );
  }
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_BYTES);
  const magic = view.getUint32(4, true);
  if (magic !== BLOCK_MAGIC) {
    throw new BlockError(
      "ERR_HOLDFAST_BLOCK_MAGIC",
      `block ${address} is not one of ours: its magic is 0x${magic.toString(16)}`,
      { block: address, magic },
    );
  }
  const [checksum, computed] = [view.getUint32(0, true), crc32c(block, 4)];
  if (checksum !== computed) {
    throw new BlockError("ERR_HOLDFAST_BLOCK_CHECKSUM", `block ${address} does not match its checksum`, {
      block: address,
      checksum,
      computed,
    });
  }
  const header = BlockHeader.read(view, 0);
  checkIdentity(header, expected);
  const payloadEnd = BlockHeader.sizeBytes + header.length;
  if (
    header.length > BLOCK_PAYLOAD_BYTES ||
    header.reserved.some((value) => value !== 0) ||
    !isZeroFrom(view, payloadEnd)
  ) {
    throw new BlockError(
      "ERR_HOLDFAST_BLOCK_CONTENT",
      `block ${address} has a payload of impossible length ${header.length} or bytes behind it`,
      { block: address, length: header.length },
    );
  }
  return { header, payload: block.subarray(BlockHeader.sizeBytes, payloadEnd) };
}

/**
 * Opens a block by the reference its parent keeps.
 *
 * @throws {@link BlockError} `ERR_HOLDFAST_BLOCK_STALE` when it is a valid block, but not the one meant.
 */
export function openReferencedBlock(
  block: Uint8Array,
  ref: BlockRef,
  expected: Omit<BlockExpectation, "address">,
): OpenedBlock {
  const opened = openBlock(block, { ...expected, address: ref.address });
  if (opened.header.seq !== ref.seq || compareBytes(hash128(block), ref.hash) !== 0) {
    throw new BlockError(
      "ERR_HOLDFAST_BLOCK_STALE",
      `block ${ref.address} holds another write (seq ${opened.header.seq}) than the one meant (seq ${ref.seq})`,
      { block: ref.address, found: opened.header.seq, wanted: ref.seq },
    );
  }
  return opened;
}

/** The reference to a sealed block. */
export function refTo(block: Uint8Array): BlockRef {
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_BYTES);
  return { address: view.getBigUint64(16, true), seq: view.getBigUint64(40, true), hash: hash128(block) };
}

function checkIdentity(header: BlockHeader, expected: BlockExpectation): void {
  const block = expected.address;
  if (header.fsid !== expected.fsid) {
    throw new BlockError(
      "ERR_HOLDFAST_BLOCK_FOREIGN",
      `block ${block} belongs to volume ${header.fsid.toString(16)}, not to ${expected.fsid.toString(16)}`,
      { block, fsid: header.fsid },
    );
  }
  if (header.address !== block) {
    throw new BlockError(
      "ERR_HOLDFAST_BLOCK_MISDIRECTED",
      `block ${block} holds what belongs to block ${header.address}`,
      { block, address: header.address },
    );
  }
  if (!expected.types.includes(header.type)) {
    throw new BlockError(
      "ERR_HOLDFAST_BLOCK_TYPE",
      `block ${block} has type ${header.type} instead of ${expected.types.join(" or ")}`,
      { block, type: header.type },
    );
  }
}

/** Four bytes at a time: most blocks are mostly empty, and each that is read comes through here. */
function isZeroFrom(view: DataView, start: number): boolean {
  let offset = start;
  let seen = 0;
  for (; offset % 4 !== 0; offset += 1) seen |= view.getUint8(offset);
  for (; offset < BLOCK_BYTES; offset += 4) seen |= view.getInt32(offset, true);
  return seen === 0;
}
