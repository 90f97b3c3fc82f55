/*
 * Modes of a lock and what they mean to each other.
 *
 * READ: many members. WRITE: one member, reading included. NULL: nothing. Number 3 is reserved for WRITE_ONLY, many
 * blind writers and no reader; until it exists a message that carries it is malformed.
 */
import type { Field } from "@holdfast/wire-format";

/** What a member may do under a lock. */
export type LockMode = "null" | "read" | "write";

/** The numbers of the modes on the wire. */
export const LOCK_MODE_NUMBERS: Readonly<Record<LockMode, number>> = { null: 0, read: 1, write: 2 };

/** The number that WRITE_ONLY will have; refused today. */
export const WRITE_ONLY_NUMBER = 3;

const MODES_BY_NUMBER: readonly LockMode[] = ["null", "read", "write"];

/** True when whoever holds `held` may do what `wanted` allows. */
export function covers(held: LockMode, wanted: LockMode): boolean {
  return held === wanted || held === "write" || wanted === "null";
}

/** The weaker of two modes. */
export function weakerMode(one: LockMode, other: LockMode): LockMode {
  return covers(one, other) ? other : one;
}

/**
 * The mode to which another member's grant must fall before a request can be granted; undefined when it may stay.
 *
 * A NULL request never revokes anybody.
 */
export function conflictTarget(granted: LockMode, requested: LockMode): LockMode | undefined {
  if (granted === "null" || requested === "null") return undefined;
  if (requested === "write") return "null";
  return granted === "write" ? "read" : undefined;
}

/** A mode in a struct, one byte. */
export const lockMode: Field<LockMode> = {
  kind: "lock-mode",
  sizeBytes: 1,
  write: (view, offset, value) => view.setUint8(offset, LOCK_MODE_NUMBERS[value]),
  read(view, offset) {
    const number = view.getUint8(offset);
    const mode = MODES_BY_NUMBER[number];
    if (mode === undefined) throw new RangeError(`no lock mode has number ${number}`);
    return mode;
  },
};
