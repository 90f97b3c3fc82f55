/*
 * Cluster locks on key ranges without a network, for a world of item stores.
 */
import { type LockMode, covers } from "@holdfast/lock-protocol";
import { type KeyRange, toHex } from "@holdfast/wire-format";
import type { ItemStore, StoreLockHold, StoreLocks } from "../src/index.ts";

interface LockState {
  readonly range: KeyRange;
  /** Grants: mode and number, by member. */
  readonly grants: Map<bigint, { mode: LockMode; writeSeq: bigint; users: number }>;
  tail: Promise<void>;
  readonly idle: (() => void)[];
}

/** Cluster locks without a network: granted, cached, called back through the holder's store. */
export class Locks {
  readonly #states: Map<string, LockState> = new Map();
  readonly #stores: Map<bigint, ItemStore> = new Map();
  #grantCount = 0n;
  readonly #refresh: Map<bigint, () => void> = new Map();

  join(rid: bigint, store: ItemStore, refresh: () => void): void {
    this.#stores.set(rid, store);
    this.#refresh.set(rid, refresh);
  }

  forget(rid: bigint): void {
    this.#stores.delete(rid);
    for (const state of this.#states.values()) {
      state.grants.delete(rid);
      for (const wake of state.idle.splice(0)) wake();
    }
  }

  port(rid: bigint): StoreLocks {
    return {
      tryAcquire: (range, mode) => this.#use(this.#state(range), rid, mode),
      acquire: async (range, mode, signal) => {
        signal?.throwIfAborted();
        const state = this.#state(range);
        const granted = state.tail.then(() => this.#grant(state, rid, mode));
        state.tail = granted.then(
          () => {},
          () => {},
        );
        return await granted;
      },
    };
  }

  #state(range: KeyRange): LockState {
    const name = toHex(range.start);
    const known = this.#states.get(name);
    if (known !== undefined) return known;
    const state = { range, grants: new Map(), tail: Promise.resolve(), idle: [] };
    this.#states.set(name, state);
    return state;
  }

  #use(state: LockState, rid: bigint, mode: LockMode): StoreLockHold | undefined {
    const grant = state.grants.get(rid);
    if (grant === undefined || !covers(grant.mode, mode)) return undefined;
    grant.users += 1;
    let isHeld = true;
    return {
      writeSeq: grant.writeSeq,
      release: () => {
        if (!isHeld) throw new Error("a lock is released once");
        isHeld = false;
        grant.users -= 1;
        for (const wake of state.idle.splice(0)) wake();
      },
    };
  }

  async #grant(state: LockState, rid: bigint, mode: LockMode): Promise<StoreLockHold> {
    const cached = this.#use(state, rid, mode);
    if (cached !== undefined) return cached;
    for (const [other, grant] of Array.from(state.grants)) {
      const to: LockMode = mode === "write" ? "null" : "read";
      if (other === rid || covers(to, grant.mode)) continue;
      while (grant.users > 0) await new Promise<void>((resolve) => state.idle.push(resolve));
      const { mode: before } = grant;
      grant.mode = "null";
      await this.#stores.get(other)?.invalidate(state.range, to);
      if (before === "write" && to === "read") grant.mode = "read";
      else state.grants.delete(other);
    }
    const own = state.grants.get(rid);
    if (own !== undefined)
      while (own.users > 0) await new Promise<void>((resolve) => state.idle.push(resolve));
    this.#grantCount += 1n;
    state.grants.set(rid, { mode, writeSeq: this.#grantCount, users: 0 });
    this.#refresh.get(rid)?.();
    const hold = this.#use(state, rid, mode);
    if (hold === undefined) throw new Error("a fresh grant is usable");
    return hold;
  }
}
