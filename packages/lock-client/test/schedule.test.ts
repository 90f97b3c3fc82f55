import { covers, type LockMode } from "@holdfast/lock-protocol";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { LockClient, LockClientEffect } from "../src/index.ts";
import { newClient, range, TERM } from "./client-fixture.ts";

const action = fc.constantFrom(
  "read",
  "write",
  "cancel",
  "release",
  "grant",
  "settle",
  "flush",
  "demand-read",
  "demand-null",
  "shrink",
);

test("in any order of events no demand is answered over a user's head, and the counts return to zero", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(action, fc.nat(9)), { maxLength: 150 }), (actions) => {
      const owner = new Owner();
      for (const [name, which] of actions) owner.act(name, which);
      for (const name of REST) owner.act(name, 0);

      expect(owner.client.counts()).toMatchObject({ userCount: 0, waiterCount: 0 });
      expect(owner.hasWork).toBe(false);
    }),
    { numRuns: 300 },
  );
});

/** Enough of everything that ends something for the longest schedule to come to rest. */
const REST = Array.from({ length: 400 }, () => ["grant", "settle", "release", "flush"] as const).flat();

/** A local owner of one lock and a server that grants what is asked for. */
class Owner {
  readonly client: LockClient = newClient(0);
  readonly #users: (LockClientEffect & { type: "admit" })[] = [];
  readonly #waiters: number[] = [];
  #requested: LockMode | undefined;
  #isSettling = false;
  #isFlushing = false;
  #demandCount = 0;
  #lastName = 0;

  get hasWork(): boolean {
    return this.#requested !== undefined || this.#isSettling || this.#isFlushing || this.#demandCount > 0;
  }

  act(name: string, which: number): void {
    const handlers: Record<string, () => readonly LockClientEffect[]> = {
      read: () => this.#acquire("read"),
      write: () => this.#acquire("write"),
      cancel: () => this.#cancel(which),
      release: () => this.#release(which),
      grant: () => this.#grant(),
      settle: () => this.#settle(),
      flush: () => this.#flush(),
      "demand-read": () => this.#demand("read"),
      "demand-null": () => this.#demand("null"),
      shrink: () => this.client.handle({ type: "shrink" }),
    };
    for (const effect of handlers[name]?.() ?? []) this.#take(effect);
  }

  #acquire(mode: "read" | "write"): readonly LockClientEffect[] {
    this.#lastName += 1;
    this.#waiters.push(this.#lastName);
    return this.client.handle({ type: "acquire", waiter: this.#lastName, range, mode });
  }

  #cancel(which: number): readonly LockClientEffect[] {
    const [waiter] = this.#waiters.splice(which % Math.max(1, this.#waiters.length), 1);
    return waiter === undefined ? [] : this.client.handle({ type: "cancel", waiter, range });
  }

  #release(which: number): readonly LockClientEffect[] {
    const [user] = this.#users.splice(which % Math.max(1, this.#users.length), 1);
    return user === undefined ? [] : this.client.release(user.lock, user.mode);
  }

  /** A server grants nothing while a demand of its own is unanswered. */
  #grant(): readonly LockClientEffect[] {
    const mode = this.#requested;
    if (mode === undefined || this.#demandCount > 0) return [];
    this.#requested = undefined;
    return this.client.handle({
      type: "granted",
      range,
      mode,
      writeSeq: 1n,
      term: TERM,
      manifestVersion: 0n,
    });
  }

  #settle(): readonly LockClientEffect[] {
    if (!this.#isSettling) return [];
    this.#isSettling = false;
    return this.client.handle({ type: "settled", range });
  }

  #flush(): readonly LockClientEffect[] {
    if (!this.#isFlushing) return [];
    this.#isFlushing = false;
    return this.client.handle({ type: "flushed", range });
  }

  #demand(to: LockMode): readonly LockClientEffect[] {
    this.#lastName += 1;
    this.#demandCount += 1;
    return this.client.handle({
      type: "invalidate",
      invalidation: this.#lastName,
      id: range.id,
      to,
      term: TERM,
    });
  }

  #take(effect: LockClientEffect): void {
    if (effect.type === "request") {
      expect(this.#requested).toBeUndefined();
      this.#requested = effect.mode;
    } else if (effect.type === "settle") {
      this.#isSettling = true;
    } else if (effect.type === "flush") {
      expect(this.#isFlushing).toBe(false);
      expect(this.#users.every(({ mode }) => covers(effect.to, mode))).toBe(true);
      this.#isFlushing = true;
    } else if (effect.type === "admit") {
      this.#waiters.splice(this.#waiters.indexOf(effect.waiter), 1);
      this.#users.push(effect);
    } else if (effect.type === "answer") {
      expect(this.#isFlushing).toBe(false);
      expect(this.#users.every(({ mode }) => covers(effect.mode, mode))).toBe(true);
      this.#demandCount -= 1;
    }
  }
}
