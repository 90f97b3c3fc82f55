/*
 * The judge: what members were told, and what that allows.
 *
 * Values of a key only grow, one write at a time, from 0. Then a history is linearizable exactly if each operation knows of
 * all that ended before it began: a read gives at least their greatest value, a write more than it. And nothing is read
 * that nobody had begun to write. A write without an acknowledgement may have happened or not, once.
 */

/** Contradictions that are spelled out. */
const CONTRADICTIONS_MAX = 20;

interface Operation {
  readonly kind: "read" | "write";
  readonly key: string;
  readonly beganMs: number;
  value?: number;
  endedMs?: number;
}

/** What is known of a key from operations that were judged and forgotten. */
interface Floor {
  /** Greatest value that anybody was told. */
  readonly value: number;
  /** Writes that began. */
  readonly writesBegun: number;
}

/** Operations of all members. */
export class Ledger {
  #operations: Map<string, Operation> = new Map();
  readonly #floors: Map<string, Floor> = new Map();
  #acknowledgedCount = 0;

  /** Acknowledged writes so far. */
  get acknowledgedCount(): number {
    return this.#acknowledgedCount;
  }

  /**
   * Keys that anybody began to write: all that were written since the last {@link forget}, and up to `mostOlder` others, those that
   * were read the longest ago.
   */
  keysToRead(mostOlder: number): readonly string[] {
    const written = new Set<string>();
    for (const { kind, key } of this.#operations.values()) if (kind === "write") written.add(key);
    const older: string[] = [];
    for (const key of this.#floors.keys()) {
      if (older.length >= mostOlder) break;
      if (!written.has(key)) older.push(key);
    }
    return [...written, ...older];
  }

  /** An operation is about to begin. */
  began(id: string, kind: "read" | "write", key: string, atMs: number): void {
    this.#operations.set(id, { kind, key, beganMs: atMs });
  }

  /** It was acknowledged: it read, or wrote, this value. */
  ended(id: string, value: number, atMs: number): void {
    const operation = this.#operations.get(id);
    if (operation === undefined) throw new Error(`operation ${id} ended and never began`);
    operation.value = value;
    operation.endedMs = atMs;
    if (operation.kind === "write") this.#acknowledgedCount += 1;
  }

  /** True if an operation whose id begins so, began after `sinceMs` and was acknowledged. */
  hasSince(idPrefix: string, key: string, sinceMs: number): boolean {
    for (const [id, operation] of this.#operations) {
      const isIt = id.startsWith(idPrefix) && operation.key.startsWith(key) && operation.beganMs > sinceMs;
      if (isIt && operation.kind === "write" && operation.endedMs !== undefined) return true;
    }
    return false;
  }

  /** What no order of the operations explains; sentences, the first of them only. */
  contradictions(): readonly string[] {
    const found: string[] = [];
    for (const [key, operations] of this.#byKey()) judgeKey(key, operations, this.#floors.get(key), found);
    return found.slice(0, CONTRADICTIONS_MAX);
  }

  /** Forgets what was judged, but not what it said: for runs without end. All members rest. */
  forget(): void {
    for (const [key, operations] of this.#byKey()) {
      const { value = 0, writesBegun = 0 } = this.#floors.get(key) ?? {};
      // To the end: whose turn to be read comes last.
      this.#floors.delete(key);
      this.#floors.set(key, {
        value: operations.reduce((most, operation) => Math.max(most, operation.value ?? 0), value),
        writesBegun: writesBegun + operations.filter(({ kind }) => kind === "write").length,
      });
    }
    this.#operations = new Map();
  }

  #byKey(): ReadonlyMap<string, readonly Operation[]> {
    const keys = new Map<string, Operation[]>();
    for (const operation of this.#operations.values()) {
      const list = keys.get(operation.key);
      if (list === undefined) keys.set(operation.key, [operation]);
      else list.push(operation);
    }
    return keys;
  }
}

function judgeKey(
  key: string,
  operations: readonly Operation[],
  floor: Floor | undefined,
  found: string[],
): void {
  const ended = operations.filter(isEnded);
  const byEnd = ended.toSorted((a, b) => a.endedMs - b.endedMs);
  let [least, next] = [floor?.value ?? 0, 0];
  for (const operation of ended.toSorted((a, b) => a.beganMs - b.beganMs)) {
    for (let before = byEnd[next]; before !== undefined && before.endedMs < operation.beganMs;) {
      least = Math.max(least, before.value);
      next += 1;
      before = byEnd[next];
    }
    const isTooOld = operation.kind === "read" ? operation.value < least : operation.value <= least;
    if (isTooOld)
      found.push(`${key}: a ${operation.kind} of ${operation.value} began when ${least} was known`);
  }
  judgeWrites(key, ended, found);
  judgeOrigin(key, operations, floor?.writesBegun ?? 0, found);
}

/** No value is written twice. */
function judgeWrites(key: string, ended: readonly Required<Operation>[], found: string[]): void {
  const written = new Set<number>();
  for (const { kind, value } of ended) {
    if (kind === "write" && written.has(value))
      found.push(`${key}: two writes of ${value} were acknowledged`);
    if (kind === "write") written.add(value);
  }
}

/** No value is greater than the number of writes that had begun, `before` of them forgotten. */
function judgeOrigin(key: string, operations: readonly Operation[], before: number, found: string[]): void {
  const begins = operations.filter(({ kind }) => kind === "write").map(({ beganMs }) => beganMs);
  begins.sort((a, b) => a - b);
  let begun = 0;
  for (const { endedMs, value } of operations.filter(isEnded).toSorted((a, b) => a.endedMs - b.endedMs)) {
    while ((begins[begun] ?? Number.POSITIVE_INFINITY) <= endedMs) begun += 1;
    if (value > before + begun) found.push(`${key}: ${value} is there after ${before + begun} writes began`);
  }
}

function isEnded(operation: Operation): operation is Required<Operation> {
  return operation.endedMs !== undefined;
}
