/*
 * The recorder outside the cluster: writes down what clients call and see.
 *
 * An operation on several keys is recorded as one call per key, all open at once, so each key can be judged alone;
 * since a client number has one outstanding call, each (client, key) has a number of its own, and a fresh one after an
 * unknown outcome.
 */
import { HistoryBuilder } from "../judge/history-builder.ts";
import type { History, Scalar } from "../judge/history.ts";
import type { SimulatedWorld } from "../world/world.ts";

/** One key's part of an operation. */
export interface KeyCall {
  readonly key: string;
  readonly operation: "read" | "write" | "delete";
  /** Value of a write. */
  readonly value?: string | undefined;
}

/** An open operation. */
export interface OpenOperation {
  /** The caller saw the end; `read` tells what each read key was. */
  succeed(read?: (key: string) => string | undefined): void;
  /** It certainly had no effect. */
  fail(): void;
  /** Nobody knows whether it had an effect. */
  forget(): void;
}

/** Records the history of one run. */
export class Recorder {
  readonly #world: SimulatedWorld;
  readonly #builder: HistoryBuilder;
  readonly #clientNumbers = new Map<string, number>();
  #callCount = 0;
  #clientCount = 0;
  #openCount = 0;

  constructor(world: SimulatedWorld, note: string) {
    this.#world = world;
    this.#builder = new HistoryBuilder("kv", note);
  }

  /** Operations that have not ended. */
  get openCount(): number {
    return this.#openCount;
  }

  /** Calls that were written down. */
  get callCount(): number {
    return this.#callCount;
  }

  /** A client calls. */
  begin(client: number, calls: readonly KeyCall[]): OpenOperation {
    this.#openCount += 1;
    const opened = calls.map((call) => ({ ...call, lane: `${client}/${call.key}`, id: 0 }));
    for (const call of opened) {
      this.#callCount += 1;
      call.id = this.#callCount;
      const id = call.id;
      const common = {
        e: "call",
        id,
        c: this.#clientNumber(call.lane),
        f: call.operation,
        k: call.key,
      } as const;
      const t = this.#time();
      this.#builder.add(
        call.operation === "write" ? { ...common, v: call.value ?? "", t } : { ...common, t },
      );
    }
    return {
      succeed: (read) => {
        this.#openCount -= 1;
        for (const { id, key, operation } of opened) {
          const out: Scalar | null = operation === "read" ? (read?.(key) ?? null) : null;
          this.#builder.add({ e: "ok", id, out, t: this.#time() });
        }
      },
      fail: () => this.#end(opened, "fail"),
      forget: () => this.#end(opened, "info"),
    };
  }

  /** What was recorded. @throws HistoryFormatError when it is nothing. */
  finish(): History {
    return this.#builder.finish();
  }

  #end(opened: readonly { readonly id: number; readonly lane: string }[], e: "fail" | "info"): void {
    this.#openCount -= 1;
    for (const { id, lane } of opened) {
      this.#builder.add({ e, id, t: this.#time() });
      if (e === "info") this.#clientNumbers.delete(lane);
    }
  }

  #clientNumber(lane: string): number {
    const known = this.#clientNumbers.get(lane);
    if (known !== undefined) return known;
    this.#clientCount += 1;
    this.#clientNumbers.set(lane, this.#clientCount);
    return this.#clientCount;
  }

  #time(): number {
    return Math.round(this.#world.nowMs * 1000);
  }
}
