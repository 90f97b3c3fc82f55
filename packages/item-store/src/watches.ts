/*
 * Who has read what: an optimistic transaction watches the keys it read, and a local commit that touches one of them
 * marks it as overtaken, from the moment that commit has its place in the order of effect.
 *
 * Costs nothing while nobody watches. Commits of other members need no watch: they need the lock, and are found
 * when the values are compared under it.
 */
import type { Key } from "@holdfast/wire-format";
import type { Operation } from "./group-commit.ts";

/** Who watches. */
export interface Watcher {
  /** Set when a watched key was committed to. */
  isOvertaken: boolean;
}

/** Watched keys of one store. */
export class Watches {
  readonly #byKey: Map<string, Set<Watcher>> = new Map();

  /** Tells `watcher` of commits to the key that `name` names, from now on. */
  watch(name: string, watcher: Watcher): void {
    const watchers = this.#byKey.get(name);
    if (watchers === undefined) this.#byKey.set(name, new Set([watcher]));
    else watchers.add(watcher);
  }

  /** Ends what {@link watch} began. */
  unwatch(names: Iterable<string>, watcher: Watcher): void {
    for (const name of names) {
      const watchers = this.#byKey.get(name);
      watchers?.delete(watcher);
      if (watchers?.size === 0) this.#byKey.delete(name);
    }
  }

  /** Marks whoever watches a key of these operations. */
  touched(operations: readonly Operation[]): void {
    if (this.#byKey.size === 0) return;
    for (const { key } of operations) {
      for (const watcher of this.#byKey.get(keyName(key)) ?? []) watcher.isOvertaken = true;
    }
  }
}

/** A key as text that can key a map. */
export function keyName(key: Key): string {
  return String.fromCharCode(...key);
}
