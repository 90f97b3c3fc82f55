/*
 * Is there an order of the operations, each at some instant between its call and its return, in which every one of
 * them could have had the result it had?
 *
 * Search after Wing & Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memory of configurations
 * ("Testing for linearizability", 2017): a configuration (set of operations already placed, state) that failed once is
 * never tried again. Each key is judged alone, which is sound because linearizability is local (Herlihy & Wing 1990).
 *
 * A read that fits is always placed at once: any order that has it later stays an order when it moves forward to here.
 */
import type { History, HistoryOperation } from "./history.ts";
import { applyToKey, IMPOSSIBLE, isReadOfKey, relevantOperations, type KeyState } from "./key-value-model.ts";
import { PlacedSet } from "./placed-set.ts";

/** What a judgement of one key says. */
export type KeyVerdict =
  | { readonly type: "linearizable" }
  /** Nobody knows: the search was given up after this many steps. */
  | { readonly type: "unknown"; readonly stepCount: number }
  | {
      readonly type: "violation";
      /** The operation that no order could place, in the order that got farthest. */
      readonly operation: HistoryOperation;
      /** The value the key had there. */
      readonly state: KeyState;
      /** How many operations that order had placed. */
      readonly placedCount: number;
    };

/** A key and what is wrong with it. */
export interface KeyComplaint {
  readonly key: string;
  readonly verdict: Exclude<KeyVerdict, { readonly type: "linearizable" }>;
}

/** Steps after which a search is given up by default; a few seconds. */
export const SEARCH_STEPS_MAX = 5_000_000;

/** Judges each key of a `kv` history; returns the keys that are not linearizable, or not known to be. */
export function checkHistory(history: History, stepsMax: number = SEARCH_STEPS_MAX): KeyComplaint[] {
  if (history.model !== "kv") throw new RangeError(`no judge for the model ${history.model}`);
  const byKey = new Map<string, HistoryOperation[]>();
  for (const operation of history.operations) {
    const list = byKey.get(operation.k);
    if (list === undefined) byKey.set(operation.k, [operation]);
    else list.push(operation);
  }
  const complaints: KeyComplaint[] = [];
  for (const [key, operations] of byKey) {
    const verdict = checkKey(operations, stepsMax);
    if (verdict.type !== "linearizable") complaints.push({ key, verdict });
  }
  return complaints;
}

/** Judges the operations of one key. */
export function checkKey(
  operations: readonly HistoryOperation[],
  stepsMax: number = SEARCH_STEPS_MAX,
): KeyVerdict {
  return new Search(relevantOperations(operations)).run(stepsMax);
}

/** A call or a return in the list of what is not yet placed. */
interface Entry {
  readonly index: number;
  readonly operation: HistoryOperation;
  readonly isCall: boolean;
  previous: Entry | undefined;
  next: Entry | undefined;
  /** Of a call: its return. */
  partner: Entry | undefined;
}

interface Placement {
  readonly entry: Entry;
  readonly stateBefore: KeyState;
}

class Search {
  readonly #head: Entry;
  readonly #placed: PlacedSet;
  readonly #tried = new Set<string>();
  readonly #placements: Placement[] = [];
  #state: KeyState = null;
  #mustPlaceCount: number;
  #farthest: { operation: HistoryOperation; state: KeyState; placedCount: number } | undefined;

  constructor(operations: readonly HistoryOperation[]) {
    this.#head = linkEntries(operations);
    this.#placed = new PlacedSet(operations.length);
    this.#mustPlaceCount = operations.filter((operation) => operation.outcome === "ok").length;
  }

  run(stepsMax: number): KeyVerdict {
    let entry = this.#head.next;
    for (let stepCount = 0; this.#mustPlaceCount > 0; stepCount++) {
      if (stepCount >= stepsMax) return { type: "unknown", stepCount };
      if (entry === undefined) return this.#violation();
      if (entry.isCall) {
        entry = this.#place(entry) ? this.#head.next : entry.next;
        continue;
      }
      this.#remember(entry.operation);
      const undone = this.#takeBack();
      if (undone === undefined) return this.#violation();
      entry = undone.next;
    }
    return { type: "linearizable" };
  }

  /** Places a call next, unless it does not fit or that was tried before. */
  #place(entry: Entry): boolean {
    const next = applyToKey(entry.operation, this.#state);
    if (next === IMPOSSIBLE) return false;
    this.#placed.add(entry.index);
    const configuration = this.#placed.key() + JSON.stringify(next);
    if (this.#tried.has(configuration)) {
      this.#placed.delete(entry.index);
      return false;
    }
    this.#tried.add(configuration);
    this.#placements.push({ entry, stateBefore: this.#state });
    this.#state = next;
    if (entry.operation.outcome === "ok") this.#mustPlaceCount -= 1;
    lift(entry);
    return true;
  }

  /** Undoes placements up to the last one that had an alternative; returns its call. */
  #takeBack(): Entry | undefined {
    while (true) {
      const placement = this.#placements.pop();
      if (placement === undefined) return undefined;
      const { entry, stateBefore } = placement;
      this.#state = stateBefore;
      this.#placed.delete(entry.index);
      if (entry.operation.outcome === "ok") this.#mustPlaceCount += 1;
      unlift(entry);
      if (!isReadOfKey(entry.operation)) return entry;
    }
  }

  #remember(operation: HistoryOperation): void {
    const placedCount = this.#placements.length;
    if (this.#farthest !== undefined && this.#farthest.placedCount >= placedCount) return;
    this.#farthest = { operation, state: this.#state, placedCount };
  }

  #violation(): KeyVerdict {
    const farthest = this.#farthest;
    if (farthest === undefined) return { type: "unknown", stepCount: 0 };
    return { type: "violation", ...farthest };
  }
}

function linkEntries(operations: readonly HistoryOperation[]): Entry {
  const entries: { at: number; entry: Entry }[] = [];
  for (const [index, operation] of operations.entries()) {
    const shared = { index, operation, previous: undefined, next: undefined };
    const call: Entry = { ...shared, isCall: true, partner: undefined };
    entries.push({ at: operation.calledAt, entry: call });
    // An operation of unknown outcome never has to be placed: it has no return to be stopped by.
    if (operation.outcome !== "ok") continue;
    call.partner = { ...shared, isCall: false, partner: undefined };
    entries.push({ at: operation.returnedAt, entry: call.partner });
  }
  entries.sort((a, b) => a.at - b.at);
  const [first] = operations;
  const head = { index: -1, operation: first, isCall: true, previous: undefined, next: undefined };
  const start = { ...head, partner: undefined } as Entry; // the head's operation is never looked at
  let last = start;
  for (const { entry } of entries) {
    last.next = entry;
    entry.previous = last;
    last = entry;
  }
  return start;
}

function lift(call: Entry): void {
  unlink(call);
  if (call.partner !== undefined) unlink(call.partner);
}

function unlift(call: Entry): void {
  if (call.partner !== undefined) relink(call.partner);
  relink(call);
}

function unlink(entry: Entry): void {
  if (entry.previous !== undefined) entry.previous.next = entry.next;
  if (entry.next !== undefined) entry.next.previous = entry.previous;
}

function relink(entry: Entry): void {
  if (entry.previous !== undefined) entry.previous.next = entry;
  if (entry.next !== undefined) entry.next.previous = entry;
}
