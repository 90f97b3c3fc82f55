import { type ByteStream, type ByteStreamHandlers, type Deferred, deferred } from "@holdfast/environment";

/** One end of a stream, and all that happened there since it was started. */
export class StreamCollector implements ByteStreamHandlers {
  readonly stream: ByteStream;
  /** How often `closed` was called. */
  closedCount = 0;
  /** How often `drained` was called. */
  drainedCount = 0;
  /** Bytes that arrived. */
  receivedBytes = 0;
  readonly #parts: Uint8Array[] = [];
  readonly #waiting = new Map<Deferred<void>, () => boolean>();

  constructor(stream: ByteStream) {
    this.stream = stream;
  }

  /** Begins delivery. */
  start(): this {
    this.stream.start(this);
    return this;
  }

  data(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice());
    this.receivedBytes += bytes.length;
    this.#wake();
  }

  closed(): void {
    this.closedCount += 1;
    this.#wake();
  }

  drained(): void {
    this.drainedCount += 1;
    this.#wake();
  }

  /** Everything that arrived, joined. */
  received(): Uint8Array {
    const all = new Uint8Array(this.receivedBytes);
    let offset = 0;
    for (const part of this.#parts) {
      all.set(part, offset);
      offset += part.length;
    }
    return all;
  }

  /** Resolves as soon as `count` bytes have arrived. */
  bytes(count: number): Promise<void> {
    return this.until(() => this.receivedBytes >= count);
  }

  /** Resolves as soon as the stream has ended. */
  end(): Promise<void> {
    return this.until(() => this.closedCount > 0);
  }

  /** Resolves when `condition` holds, looked at after each event of this end. */
  until(condition: () => boolean): Promise<void> {
    const waiting = deferred<void>();
    if (condition()) waiting.resolve();
    else this.#waiting.set(waiting, condition);
    return waiting.promise;
  }

  #wake(): void {
    for (const [waiting, condition] of this.#waiting) {
      if (!condition()) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }
}
