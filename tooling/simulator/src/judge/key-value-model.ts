/*
 * One key of a store, as a machine: what each operation may see and what it leaves behind.
 */
import type { HistoryOperation, Scalar } from "./history.ts";

/** The value of a key; null: absent. */
export type KeyState = Scalar | null;

/** The operation cannot happen in this state with the result it had. */
export const IMPOSSIBLE: unique symbol = Symbol("impossible");

/** State after an operation that was seen to end as it did, or {@link IMPOSSIBLE}. */
export function applyToKey(operation: HistoryOperation, state: KeyState): KeyState | typeof IMPOSSIBLE {
  const isSeen = operation.outcome === "ok";
  switch (operation.f) {
    case "read":
      return !isSeen || operation.out === state ? state : IMPOSSIBLE;
    case "write":
      return operation.v ?? null;
    case "delete":
      return null;
    case "cas": {
      const isMatch = state === (operation.old ?? null);
      if (isSeen && operation.out !== isMatch) return IMPOSSIBLE;
      return isMatch ? (operation.v ?? null) : state;
    }
    case "add": {
      const sum = Number(state ?? 0) + Number(operation.v ?? 0);
      return !isSeen || operation.out === sum ? sum : IMPOSSIBLE;
    }
    default:
      return IMPOSSIBLE;
  }
}

/** True if the operation leaves every state as it is. */
export function isReadOfKey(operation: HistoryOperation): boolean {
  return operation.f === "read";
}

/**
 * Leaves out what cannot change the verdict: operations without effect, reads nobody saw, and writes of unknown
 * outcome whose value nobody saw. Such a write can always be thought never to have happened, as long as every
 * operation of the key either ignores the value or returned it.
 */
export function relevantOperations(operations: readonly HistoryOperation[]): HistoryOperation[] {
  const seen = new Set(operations.filter((o) => o.outcome === "ok" && o.f === "read").map((o) => o.out));
  const isPlain = operations.every((o) => o.f === "read" || o.f === "write" || o.f === "delete");
  return operations.filter((operation) => {
    if (operation.outcome === "fail") return false;
    if (operation.outcome === "ok") return true;
    if (operation.f === "read") return false;
    return !isPlain || seen.has(operation.f === "delete" ? null : (operation.v ?? null));
  });
}
