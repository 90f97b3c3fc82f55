/*
 * The bytes of a device: what its volatile cache shows and what is on its medium.
 *
 * Pages are never changed in place; a write makes new ones. So a flush can remember in O(dirty pages) what it has to
 * make durable, while later writes go on. A loss of power keeps, of each page that was not flushed, a random subset of
 * its sectors in their new state and the rest in their durable state.
 *
 * Damage is laid over a page: readers are shown it until the page is written again, while the judges go on reading what
 * was truly written there.
 */
import { BLOCK_BYTES } from "@holdfast/environment";
import type { RandomStream } from "./random-stream.ts";

/** The device writes this many bytes whole or not at all. */
export const SECTOR_BYTES = 512;

interface Page {
  visible: Uint8Array;
  durable: Uint8Array;
  /** What readers are shown instead of `visible`, if the page is damaged. */
  damaged: Uint8Array | undefined;
  /** What `visible` was before the newest write. */
  former: Uint8Array | undefined;
  /** Rises with each write to the page. */
  version: number;
  /** The version that `durable` shows at least. */
  durableVersion: number;
}

/** What a flush saw when it was submitted. */
export interface FlushMark {
  readonly pages: readonly { readonly page: Page; readonly bytes: Uint8Array; readonly version: number }[];
  readonly generation: number;
}

/** How a loss of power tears pages. */
export type Tearing = "sectors" | "bytes";

/** The content of a device at one moment. */
export type MediumImage = ReadonlyMap<number, Uint8Array>;

/** Pages that are looked up at once. */
const GROUP_PAGES = 64;
const GROUP_BYTES = GROUP_PAGES * BLOCK_BYTES;

const ZEROS = new Uint8Array(BLOCK_BYTES);

/** Bytes in a volatile cache over a medium; offsets in bytes, multiples of {@link SECTOR_BYTES}. */
export class Medium {
  /** Pages by their number, {@link GROUP_PAGES} to a group: most of a device was never written, and is passed over in groups. */
  readonly #groups = new Map<number, (Page | undefined)[]>();
  readonly #dirty = new Set<Page>();
  #generation = 0;

  /** Pages whose newest bytes would not surely survive a loss of power. */
  get dirtyPageCount(): number {
    return this.#dirty.size;
  }

  /** Fills `into` with what the device shows now, damage included. */
  read(offset: number, into: Uint8Array): void {
    this.#read(offset, into, shown);
  }

  /** Fills `into` with what was written, whatever became of it. For judges. */
  readTruth(offset: number, into: Uint8Array): void {
    this.#read(offset, into, written);
  }

  /** What one block held before it was last written; undefined if it was written once at most. */
  formerBlock(block: number): Uint8Array | undefined {
    return this.#find(block)?.former;
  }

  /** Shows other bytes in place of a block, until the block is written again. */
  damageBlock(block: number, bytes: Uint8Array): void {
    this.#page(block).damaged = bytes.slice();
  }

  /** True while readers of a block are not shown what was written there. */
  isDamaged(block: number): boolean {
    return this.#find(block)?.damaged !== undefined;
  }

  /** Takes a write and goes on showing what stood there before. */
  loseWrite(offset: number, bytes: Uint8Array, isDurable: boolean): void {
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((offset + bytes.length - 1) / BLOCK_BYTES);
    const before: Uint8Array[] = [];
    for (let block = first; block <= last; block++) before.push(shown(this.#page(block)));
    this.write(offset, bytes, isDurable);
    before.forEach((content, index) => this.damageBlock(first + index, content));
  }

  /** The content now. */
  image(): MediumImage {
    return new Map(this.#all().map(([number, page]) => [number, shown(page)]));
  }

  /** Goes back to an earlier content, all of it durable. */
  restore(image: MediumImage): void {
    for (const [number, page] of this.#all()) {
      const bytes = image.get(number) ?? ZEROS;
      page.visible = bytes;
      page.durable = bytes;
      page.damaged = undefined;
      page.version += 1;
      page.durableVersion = page.version;
    }
    this.#dirty.clear();
    this.#generation += 1;
  }

  /** Lands bytes in the cache or, if durable, on the medium. */
  write(offset: number, bytes: Uint8Array, isDurable: boolean): void {
    let done = 0;
    while (done < bytes.length) {
      const at = (offset + done) % BLOCK_BYTES;
      const count = Math.min(BLOCK_BYTES - at, bytes.length - done);
      this.#writePage(
        Math.floor((offset + done) / BLOCK_BYTES),
        at,
        bytes.subarray(done, done + count),
        isDurable,
      );
      done += count;
    }
  }

  /** Remembers what a flush submitted now will have made durable when it completes. */
  beginFlush(): FlushMark {
    const pages = [...this.#dirty].map((page) => ({ page, bytes: page.visible, version: page.version }));
    return { pages, generation: this.#generation };
  }

  /** Completes a flush; one that a loss of power overtook does nothing. */
  completeFlush(mark: FlushMark): void {
    if (mark.generation !== this.#generation) return;
    for (const { page, bytes, version } of mark.pages) {
      if (page.durableVersion >= version) continue;
      page.durable = bytes;
      page.durableVersion = version;
      if (page.version === version) this.#dirty.delete(page);
    }
  }

  /** Loses power: of what was not flushed, each sector survives or not. Returns how many pages were at stake. */
  losePower(random: RandomStream, tearing: Tearing = "sectors"): number {
    const count = this.#dirty.size;
    for (const page of this.#dirty) {
      const fate = random.between(0, 2);
      if (fate === 0) page.visible = page.durable;
      if (fate === 1) page.visible = tearing === "sectors" ? torn(page, random) : cutOff(page, random);
      page.durable = page.visible;
      page.durableVersion = page.version;
    }
    this.#dirty.clear();
    this.#generation += 1;
    return count;
  }

  #read(offset: number, into: Uint8Array, contentOf: (page: Page) => Uint8Array): void {
    let done = 0;
    while (done < into.length) {
      const from = offset + done;
      const group = this.#groups.get(Math.floor(from / GROUP_BYTES));
      const groupEnd = Math.min(into.length, done + GROUP_BYTES - (from % GROUP_BYTES));
      if (group === undefined) into.fill(0, done, groupEnd);
      else this.#readGroup(group, { offset, into, done, groupEnd }, contentOf);
      done = groupEnd;
    }
  }

  #readGroup(
    group: readonly (Page | undefined)[],
    wanted: {
      readonly offset: number;
      readonly into: Uint8Array;
      readonly done: number;
      readonly groupEnd: number;
    },
    contentOf: (page: Page) => Uint8Array,
  ): void {
    const { offset, into, groupEnd } = wanted;
    let { done } = wanted;
    while (done < groupEnd) {
      const at = (offset + done) % BLOCK_BYTES;
      const count = Math.min(BLOCK_BYTES - at, groupEnd - done);
      const page = group[Math.floor((offset + done) / BLOCK_BYTES) % GROUP_PAGES];
      const bytes = page === undefined ? ZEROS : contentOf(page);
      into.set(count === BLOCK_BYTES ? bytes : bytes.subarray(at, at + count), done);
      done += count;
    }
  }

  #find(number: number): Page | undefined {
    return this.#groups.get(Math.floor(number / GROUP_PAGES))?.[number % GROUP_PAGES];
  }

  #all(): [number, Page][] {
    return [...this.#groups].flatMap(([group, pages]) =>
      pages.flatMap((page, index): [number, Page][] =>
        page === undefined ? [] : [[group * GROUP_PAGES + index, page]],
      ),
    );
  }

  #page(number: number): Page {
    const groupNumber = Math.floor(number / GROUP_PAGES);
    let group = this.#groups.get(groupNumber);
    if (group === undefined) {
      group = Array.from<undefined>({ length: GROUP_PAGES });
      this.#groups.set(groupNumber, group);
    }
    const known = group[number % GROUP_PAGES];
    if (known !== undefined) return known;
    const page: Page = {
      visible: ZEROS,
      durable: ZEROS,
      damaged: undefined,
      former: undefined,
      version: 0,
      durableVersion: 0,
    };
    group[number % GROUP_PAGES] = page;
    return page;
  }

  #writePage(number: number, at: number, bytes: Uint8Array, isDurable: boolean): void {
    const page = this.#page(number);
    const isWhole = bytes.length === BLOCK_BYTES;
    const next = isWhole ? bytes.slice() : page.visible.slice();
    if (!isWhole) next.set(bytes, at);
    if (isWhole) page.damaged = undefined;
    else page.damaged?.set(bytes, at);
    if (page.version > 0) page.former = page.visible;
    page.visible = next;
    page.version += 1;
    if (isDurable) {
      // The cache may write back whenever it likes: the other dirty sectors of the page go along.
      page.durable = next;
      page.durableVersion = page.version;
      this.#dirty.delete(page);
    } else {
      this.#dirty.add(page);
    }
  }
}

function torn(page: Page, random: RandomStream): Uint8Array {
  const mixed = page.durable.slice();
  for (let at = 0; at < BLOCK_BYTES; at += SECTOR_BYTES) {
    if (random.chance(0.5)) mixed.set(page.visible.subarray(at, at + SECTOR_BYTES), at);
  }
  return mixed;
}

/** The new bytes up to somewhere, the durable ones behind. */
function cutOff(page: Page, random: RandomStream): Uint8Array {
  const mixed = page.durable.slice();
  const end = random.between(1, BLOCK_BYTES - 1);
  mixed.set(page.visible.subarray(0, end));
  return mixed;
}

function shown(page: Page): Uint8Array {
  return page.damaged ?? page.visible;
}

function written(page: Page): Uint8Array {
  return page.visible;
}
