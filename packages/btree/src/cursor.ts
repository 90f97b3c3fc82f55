/*
 * A walk over the entries of one root, in either direction.
 */
import { compareBytes } from "@holdfast/wire-format";
import { type Branch, type Child, type Leaf, floorIndex, lowerBound } from "./node.ts";
import type { Place } from "./node-codec.ts";
import { type NodeSource, ROOT_PLACE, placeOf } from "./node-source.ts";

/** One key and its value: views that the tree may share, never to be written to. */
export interface TreeEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Which entries to walk over. */
export interface ScanRange {
  /** First key wanted; from the least without it. */
  readonly from?: Uint8Array;
  /** Last key wanted, included; to the greatest without it. */
  readonly to?: Uint8Array;
  /** True: from the greatest key down. */
  readonly isReverse?: boolean;
}

interface Frame {
  readonly branch: Branch;
  readonly place: Place;
  /** The child that the walk is in. */
  index: number;
}

/** Walks over the entries of one root; what the tree becomes meanwhile does not touch it. */
export class TreeCursor {
  readonly #source: NodeSource;
  readonly #root: Child | undefined;
  readonly #begin: Uint8Array | undefined;
  readonly #end: Uint8Array | undefined;
  readonly #step: 1 | -1;
  readonly #frames: Frame[] = [];
  #leaf: Leaf | undefined;
  #index = 0;
  #phase: "before" | "within" | "after" = "before";

  constructor(source: NodeSource, root: Child | undefined, range: ScanRange) {
    const isReverse = range.isReverse === true;
    this.#source = source;
    this.#root = root;
    this.#begin = isReverse ? range.to : range.from;
    this.#end = isReverse ? range.from : range.to;
    this.#step = isReverse ? -1 : 1;
  }

  /** The next entry, or undefined after the last. */
  async next(): Promise<TreeEntry | undefined> {
    if (this.#phase === "before") await this.#start();
    while (this.#phase === "within") {
      const leaf = this.#leaf as Leaf; // within: there is one
      const key = leaf.keys[this.#index];
      if (key === undefined) {
        await this.#nextLeaf();
        continue;
      }
      if (this.#end !== undefined && compareBytes(key, this.#end) * this.#step > 0) break;
      const value = leaf.values[this.#index] as Uint8Array;
      this.#index += this.#step;
      return { key, value };
    }
    this.#finish();
    return undefined;
  }

  async #start(): Promise<void> {
    if (this.#root === undefined) return this.#finish();
    this.#phase = "within";
    await this.#descend(this.#root, ROOT_PLACE, this.#begin);
  }

  #finish(): void {
    this.#phase = "after";
    this.#leaf = undefined;
    this.#frames.length = 0;
  }

  async #nextLeaf(): Promise<void> {
    for (;;) {
      const frame = this.#frames.at(-1);
      if (frame === undefined) return this.#finish();
      frame.index += this.#step;
      const child = frame.branch.children[frame.index];
      if (child !== undefined)
        return this.#descend(child, placeOf(frame.branch, frame.index, frame.place), undefined);
      this.#frames.pop();
    }
  }

  /** Goes down to the leaf that holds `target`, or to the nearest edge without one. */
  async #descend(child: Child, place: Place, target: Uint8Array | undefined): Promise<void> {
    const node = this.#source.peek(child, place) ?? (await this.#source.read(child, place));
    const isForward = this.#step === 1;
    const edge = isForward ? 0 : node.keys.length - 1;
    if (node.type === "leaf") {
      this.#leaf = node;
      if (target === undefined) this.#index = edge;
      else this.#index = isForward ? lowerBound(node.keys, target) : floorIndex(node.keys, target);
      return;
    }
    const index = target === undefined ? edge : floorIndex(node.keys, target);
    this.#frames.push({ branch: node, place, index });
    await this.#descend(node.children[index] as Child, placeOf(node, index, place), target);
  }
}
