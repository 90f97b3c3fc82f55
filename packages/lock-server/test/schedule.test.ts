import { covers, conflictTarget, type LockMode, LockRange } from "@holdfast/lock-protocol";
import { KEY_BYTES } from "@holdfast/wire-format";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LockServer, type LockServerEffect } from "../src/index.ts";

const RANGES = [0, 10, 20].map((start) => {
  const keys = [start, start + 9].map((value) => new Uint8Array(KEY_BYTES).fill(value));
  return new LockRange({ start: keys[0] as Uint8Array, end: keys[1] as Uint8Array });
});

const step = fc.record({
  member: fc.integer({ min: 1, max: 4 }),
  lock: fc.integer({ min: 0, max: RANGES.length - 1 }),
  mode: fc.constantFrom<LockMode>("null", "read", "write"),
  action: fc.constantFrom("ask", "ask", "answer", "answer", "remove"),
});

test("in any order of requests, answers and departures no two holders conflict, and every request is answered", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const world = new World();
      for (const { member, lock, mode, action } of steps) {
        if (action === "ask") world.ask(BigInt(member), lock, mode);
        else if (action === "answer") world.answerOne(member);
        else world.remove(BigInt(member));
        world.check();
      }
      while (world.answerOne(0)) world.check();
      expect(world.asked.size).toBe(0);
    }),
    { numRuns: 300 },
  );
});

/** A server, and members that answer its invalidations when they are told to. */
class World {
  readonly server = new LockServer({ term: 1n, locksMax: 100 });
  /** Requests without an answer. */
  readonly asked = new Map<number, { readonly rid: bigint; readonly lock: string }>();
  readonly #held = new Map<string, LockMode>();
  readonly #demands: (LockServerEffect & { type: "invalidate" })[] = [];
  #lastRequest = 0;
  #lastWriteSeq = 0n;

  constructor() {
    this.server.handle({ type: "begin-recovery", members: [] });
  }

  ask(rid: bigint, lock: number, mode: LockMode): void {
    const range = RANGES[lock] as LockRange;
    if ([...this.asked.values()].some((other) => other.rid === rid && other.lock === range.id)) return;
    this.#lastRequest += 1;
    this.asked.set(this.#lastRequest, { rid, lock: range.id });
    this.#take(this.server.handle({ type: "request", rid, request: this.#lastRequest, range, mode }));
  }

  answerOne(which: number): boolean {
    const [demand] = this.#demands.splice(which % Math.max(1, this.#demands.length), 1);
    if (demand === undefined) return false;
    const { rid, range, to } = demand;
    this.#held.set(`${rid}/${range.id}`, to);
    this.#take(this.server.handle({ type: "invalidated", rid, range, mode: to }));
    return true;
  }

  remove(rid: bigint): void {
    for (const key of this.#held.keys()) if (key.startsWith(`${rid}/`)) this.#held.delete(key);
    for (let index = this.#demands.length - 1; index >= 0; index -= 1)
      if (this.#demands[index]?.rid === rid) this.#demands.splice(index, 1);
    this.#take(this.server.handle({ type: "remove", rid }));
  }

  check(): void {
    for (const range of RANGES) {
      const holders = [...this.#held].filter(([key]) => key.endsWith(`/${range.id}`));
      for (const [one, held] of holders)
        for (const [other, wanted] of holders)
          if (one !== other) expect(conflictTarget(held, wanted)).toBeUndefined();
    }
  }

  #take(effects: readonly LockServerEffect[]): void {
    for (const effect of effects) {
      expect(effect.type).not.toBe("reject-peer");
      if (effect.type === "invalidate") {
        const held = this.#held.get(`${effect.rid}/${effect.range.id}`) ?? "null";
        expect(covers(held, effect.to) && held !== effect.to).toBe(true);
        this.#demands.push(effect);
      } else if (effect.type === "grant") {
        expect(this.asked.delete(effect.request)).toBe(true);
        this.#held.set(`${effect.rid}/${effect.range.id}`, effect.mode);
        if (effect.mode === "write") expect(effect.writeSeq).toBeGreaterThan(this.#lastWriteSeq);
        if (effect.mode === "write") this.#lastWriteSeq = effect.writeSeq;
      } else if (effect.type === "refuse") {
        expect(this.asked.delete(effect.request)).toBe(true);
      }
    }
  }
}
