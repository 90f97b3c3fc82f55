/*
 * The commit record: the last thing a commit writes, one block.
 *
 * Beside the block's checksum it carries a 128-bit hash of everything it says, since a checksum of 32 bits is too
 * short for the one block that everything hangs on.
 */
import { utf8 } from "@holdfast/environment";
import {
  BLOCK_PAYLOAD_BYTES,
  BlockType,
  blob,
  bytes,
  compareBytes,
  HASH128_BYTES,
  hash128,
  type OpenedBlock,
  type StructCodec,
  sealBlock,
  struct,
  text,
} from "@holdfast/wire-format";

/** What a server commits. */
export interface CommitRecord {
  /** The server's term. */
  readonly term: bigint;
  /** Number of the record within its term, from 1. */
  readonly seq: bigint;
  /** The member that wrote it; 0 for mkfs. */
  readonly writer: bigint;
  /** Where the server listens, at most {@link RECORD_ADDRESS_BYTES_MAX} bytes; empty: it has resigned. */
  readonly address: string;
  /** What is committed, at most {@link RECORD_PAYLOAD_BYTES_MAX} bytes; this package does not look inside. */
  readonly payload: Uint8Array;
}

/** Longest address of a server in bytes of UTF-8. */
export const RECORD_ADDRESS_BYTES_MAX = 254;

/** Longest payload of a record: what is left of a block behind the hash and the address. */
export const RECORD_PAYLOAD_BYTES_MAX: number =
  BLOCK_PAYLOAD_BYTES - HASH128_BYTES - (2 + RECORD_ADDRESS_BYTES_MAX) - 2;

/** What stands in a record's block. Term, seq and writer stand in the block's header. */
export interface RecordBody {
  /** {@link hash128} of term, seq and writer (u64 each) and of all that follows this field. */
  readonly hash: Uint8Array;
  /** {@link CommitRecord.address}. */
  readonly address: string;
  /** {@link CommitRecord.payload}. */
  readonly payload: Uint8Array;
}

/** Layout of a record's block. */
export const RecordBody: StructCodec<RecordBody> = struct("RecordBody", {
  hash: bytes(HASH128_BYTES),
  address: text(RECORD_ADDRESS_BYTES_MAX),
  payload: blob(RECORD_PAYLOAD_BYTES_MAX),
});

/**
 * Makes sure that a record fits its block.
 *
 * @throws RangeError when the address or the payload is too long.
 */
export function checkRecordFits(record: Pick<CommitRecord, "address" | "payload">): void {
  const addressBytes = utf8.encode(record.address).length;
  if (addressBytes > RECORD_ADDRESS_BYTES_MAX)
    throw new RangeError(`an address has at most ${RECORD_ADDRESS_BYTES_MAX} bytes, not ${addressBytes}`);
  const payloadBytes = record.payload.length;
  if (payloadBytes > RECORD_PAYLOAD_BYTES_MAX)
    throw new RangeError(`a payload has at most ${RECORD_PAYLOAD_BYTES_MAX} bytes, not ${payloadBytes}`);
}

/**
 * The block that holds a record, for the place it is meant for.
 *
 * @throws RangeError when the address or the payload is too long.
 */
export function sealRecord(
  record: CommitRecord,
  place: { readonly fsid: bigint; readonly block: bigint },
): Uint8Array {
  const { term, seq, writer, address, payload } = record;
  const body = RecordBody.encode({ hash: NO_HASH, address, payload });
  body.set(hashOf(record, body));
  return sealBlock(
    { fsid: place.fsid, address: place.block, term, writer, seq, type: BlockType.record },
    body,
  );
}

/**
 * The record in a block that was opened as one; undefined when it is not what its writer wrote.
 *
 * @throws RangeError when a field is malformed although the hash is right.
 */
export function readRecord({ header, payload }: OpenedBlock): CommitRecord | undefined {
  if (payload.length !== RecordBody.sizeBytes) return undefined;
  const { term, seq, writer } = header;
  if (compareBytes(hashOf({ term, seq, writer }, payload), payload.subarray(0, HASH128_BYTES)) !== 0)
    return undefined;
  const body = RecordBody.decode(payload);
  return { term, seq, writer, address: body.address, payload: body.payload };
}

const NO_HASH = new Uint8Array(HASH128_BYTES);
const IDENTITY_BYTES = 24;

function hashOf(identity: Pick<CommitRecord, "term" | "seq" | "writer">, body: Uint8Array): Uint8Array {
  const hashed = new Uint8Array(IDENTITY_BYTES + body.length - HASH128_BYTES);
  const view = new DataView(hashed.buffer);
  view.setBigUint64(0, identity.term, true);
  view.setBigUint64(8, identity.seq, true);
  view.setBigUint64(16, identity.writer, true);
  hashed.set(body.subarray(HASH128_BYTES), IDENTITY_BYTES);
  return hash128(hashed);
}
