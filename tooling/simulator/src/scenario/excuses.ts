/*
 * What a run may come to because of the damage that was done in it, and what not even that excuses.
 *
 *   DAMAGE                       EXCUSES
 *   none, or within a copy       nothing
 *   a copy of a record           no service, if elections have halted (see fault-atlas.ts, which knows that error alone)
 *   what stands once             no service, errors of the class corruption
 *   the whole device went back   also that acknowledged writes are gone
 *
 * Nothing excuses an exception that nobody handled, a broken invariant, a value that nobody wrote, or a write that landed where
 * its writer may not write.
 */
import type { FaultAtlas } from "../atlas/fault-atlas.ts";
import type { Violation } from "./violation.ts";

/** True if the damage that was done so far explains what was found. */
export function isExcused({ type }: Violation, atlas: FaultAtlas): boolean {
  switch (type) {
    case "no-progress":
    case "servers":
      return atlas.isLossAllowed;
    case "unexpected-error":
      return atlas.isCorruptionAllowed;
    case "not-linearizable":
    case "not-atomic":
    case "landing":
    case "inspection":
      return atlas.isRolledBack;
    case "session":
    case "history-undecided":
    case "failure":
    case "damaged-value":
    case "not-deterministic":
      return false;
  }
}
