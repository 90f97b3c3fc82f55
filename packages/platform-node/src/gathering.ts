/*
 * Gathers the small writes of one turn of the event loop into one chunk of its own memory.
 *
 * For streams that hand memory on to somebody who keeps it: a chunk is never written again once it has been given away.
 */

/** Bytes of a chunk; what is longer goes alone. */
const CHUNK_BYTES = 64 * 1024;

/** What was written and not yet given away. */
export class Gathering {
  readonly #give: (bytes: Uint8Array<ArrayBuffer>) => void;
  #chunk: Uint8Array<ArrayBuffer> | undefined;
  #length = 0;
  #isFlushPlanned = false;

  /** @param give - Takes bytes over, for good; called at the end of the turn, or earlier. */
  constructor(give: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#give = give;
  }

  /** Bytes that have not been given away. */
  get pendingBytes(): number {
    return this.#length;
  }

  /** Copies bytes. */
  add(bytes: Uint8Array): void {
    if (bytes.length > CHUNK_BYTES) {
      this.flush();
      this.#give(new Uint8Array(bytes));
      return;
    }
    if (this.#length + bytes.length > CHUNK_BYTES) this.flush();
    this.#chunk ??= new Uint8Array(CHUNK_BYTES);
    this.#chunk.set(bytes, this.#length);
    this.#length += bytes.length;
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    process.nextTick(() => {
      this.#isFlushPlanned = false;
      this.flush();
    });
  }

  /** Gives away what is there. */
  flush(): void {
    const chunk = this.#chunk;
    if (chunk === undefined || this.#length === 0) return;
    const bytes = chunk.slice(0, this.#length);
    this.#length = 0;
    // A busy stream writes into the same chunk again; a quiet one holds none.
    if (bytes.length < CHUNK_BYTES / 2) this.#chunk = undefined;
    this.#give(bytes);
  }
}
