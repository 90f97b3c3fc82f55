/*
 * A client that writes through one member as fast as answers come, and remembers what was acknowledged.
 *
 * Every other write goes to a lock range of its own, whose lock stays cached; the rest to a range that all writers
 * share, so that they need the server to hand the lock over.
 */
import type { Access } from "holdfast";

/** Keys that a writer cycles through in each range. */
const KEYS = 50;

/** One acknowledged write. */
interface Acknowledged {
  readonly submittedMs: number;
  readonly acknowledgedMs: number;
  readonly isShared: boolean;
}

/** Writes until it is told to stop. */
export class Writer {
  readonly name: string;
  readonly #access: Access;
  /** Newest acknowledged, and newest submitted, counter of each key. */
  readonly #acknowledged: Map<string, number> = new Map();
  readonly #submitted: Map<string, number> = new Map();
  readonly #times: Acknowledged[] = [];
  #isStopping = false;
  #running: Promise<void> = Promise.resolve();

  constructor(name: string, access: Access) {
    this.name = name;
    this.#access = access;
  }

  /** Acknowledged writes so far. */
  get count(): number {
    return this.#times.length;
  }

  start(): void {
    this.#running = this.#run();
    // Told by `stop`; until then a failed writer just writes no more.
    this.#running.catch(() => {});
  }

  /** Resolves when the last write was answered. @throws what ended the writer. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
    await this.#access.close();
  }

  /** Milliseconds from `sinceMs` to the first acknowledgement of a write that was submitted after it. */
  nextAcknowledgement(sinceMs: number, isShared: boolean): number {
    const next = this.#times.find((time) => time.isShared === isShared && time.submittedMs > sinceMs);
    return (next?.acknowledgedMs ?? Number.POSITIVE_INFINITY) - sinceMs;
  }

  /** Keys whose value in `read` is older than what was acknowledged, or was never submitted. */
  lostIn(read: ReadonlyMap<string, string>): readonly string[] {
    return [...this.#acknowledged].flatMap(([key, acknowledged]) => {
      const found = Number(read.get(key) ?? -1);
      const isPlausible = found >= acknowledged && found <= (this.#submitted.get(key) ?? -1);
      return isPlausible ? [] : [`${key}: found ${found}, acknowledged ${acknowledged}`];
    });
  }

  async #run(): Promise<void> {
    for (let counter = 0; !this.#isStopping; counter += 1) {
      const isShared = counter % 2 === 1;
      const key = `${isShared ? "shared" : this.name}-${Math.floor(counter / 2) % KEYS}-${this.name}`;
      const submittedMs = performance.now();
      this.#submitted.set(key, counter);
      await this.#access.batch("main", [{ key, value: String(counter) }]);
      this.#acknowledged.set(key, counter);
      this.#times.push({ submittedMs, acknowledgedMs: performance.now(), isShared });
    }
  }
}
