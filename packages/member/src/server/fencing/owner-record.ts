/*
 * Whose blocks are in quarantine, and how it is known that they can never be written again.
 *
 * Evidence is committed before the first block is released, and stays until the last one is: a server that dies in the
 * middle is followed by one that knows.
 */
import { type Field, type StructCodec, struct, text, u64, u8 } from "@holdfast/wire-format";
import { NAME_BYTES_MAX } from "../../protocol.ts";
import { NO_PROCESS, ProcessRecord } from "../../volume/process-record.ts";

/**
 * How the end of a member is confirmed. Silence is not among them.
 *
 *   none      it is not
 *   farewell  it left when all it had written was done
 *   process   its process is gone, on the host of whoever looked, and its device is on that host
 *   agent     the fence agent said so
 *   operator  an operator said so
 */
export type EvidenceKind = "none" | "farewell" | "process" | "agent" | "operator";

const KINDS: readonly EvidenceKind[] = ["none", "farewell", "process", "agent", "operator"];

/** Longest word about evidence in bytes of UTF-8. */
export const EVIDENCE_DETAIL_BYTES_MAX = 128;

/** How the end of a member was confirmed. */
export interface Evidence {
  readonly kind: EvidenceKind;
  /** Who saw it or said so, for people. */
  readonly by: string;
  /** When, in milliseconds since 1970, for people; 0 when it was not. */
  readonly atMs: bigint;
}

/** Nothing is confirmed. */
export const NO_EVIDENCE: Evidence = { kind: "none", by: "", atMs: 0n };

/** One byte: the place of the kind in the order above. */
const EvidenceCode: Field<EvidenceKind> = {
  kind: `one of(${KINDS.join()})`,
  sizeBytes: u8.sizeBytes,
  write: (view, offset, value) => u8.write(view, offset, KINDS.indexOf(value)),
  read(view, offset) {
    const kind = KINDS[u8.read(view, offset)];
    if (kind === undefined) throw new RangeError(`evidence is ${u8.read(view, offset)}`);
    return kind;
  },
};

/** Layout of evidence. */
export const Evidence: StructCodec<Evidence> = struct("Evidence", {
  kind: EvidenceCode,
  by: text(EVIDENCE_DETAIL_BYTES_MAX),
  atMs: u64,
});

/** What is known of the last owner of blocks in quarantine. */
export interface OwnerRecord {
  /** For people. */
  readonly name: string;
  /** Where it listened; empty without an address. */
  readonly address: string;
  readonly process: ProcessRecord;
  /** When it was given up, in milliseconds since 1970, for people. */
  readonly sinceMs: bigint;
  readonly evidence: Evidence;
}

/** Layout of an owner. */
export const OwnerRecord: StructCodec<OwnerRecord> = struct("OwnerRecord", {
  name: text(NAME_BYTES_MAX),
  address: text(255),
  process: ProcessRecord,
  sinceMs: u64,
  evidence: Evidence,
});

/** An owner of whom nothing is known but the rid. */
export const UNKNOWN_OWNER: OwnerRecord = {
  name: "",
  address: "",
  process: NO_PROCESS,
  sinceMs: 0n,
  evidence: NO_EVIDENCE,
};

/** What is kept of a member that is none any more. */
export function ownerOf(
  { name, address, process }: Pick<OwnerRecord, "name" | "address" | "process">,
  { wallMs, evidence }: { readonly wallMs: number; readonly evidence: Evidence },
): OwnerRecord {
  return { name, address, process, sinceMs: wallTime(wallMs), evidence };
}

/** A wall clock's time as records keep it: they know no time before 1970. */
export function wallTime(wallMs: number): bigint {
  return BigInt(Math.max(0, Math.floor(wallMs)));
}
