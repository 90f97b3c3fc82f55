/*
 * Access that gives up: every single wait ends when it took too long or a signal asked the command to end.
 *
 * What was asked then may or may not happen.
 */
import type { Change, Entry, StatusReply, TuneRequest, FenceReply, FenceRequest } from "@holdfast/member";
import type { Access, AccessScan } from "../access.ts";
import { UnavailableError } from "./exit-codes.ts";

/** Adds limits to another access. */
export class PatientAccess implements Access {
  readonly #inner: Access;
  readonly #waitMs: number;
  readonly #signal: AbortSignal;

  /** @param signal - Its reason is thrown. */
  constructor(inner: Access, waitMs: number, signal: AbortSignal) {
    this.#inner = inner;
    this.#waitMs = waitMs;
    this.#signal = signal;
  }

  get via(): Access["via"] {
    return this.#inner.via;
  }

  get(dataset: string, key: string): Promise<Uint8Array | undefined> {
    return this.#wait(this.#inner.get(dataset, key), this.#signal);
  }

  batch(dataset: string, changes: readonly Change[]): Promise<void> {
    return this.#wait(this.#inner.batch(dataset, changes), this.#signal);
  }

  async *pages(dataset: string, scan: AccessScan): AsyncGenerator<readonly Entry[], void, void> {
    const pages = this.#inner.pages(dataset, scan);
    let isDone = false;
    try {
      while (!isDone) {
        const page = await this.#wait(pages.next(), this.#signal);
        isDone = page.done === true;
        if (page.done !== true) yield page.value;
      }
    } finally {
      // Behind a page that never comes this would never settle; closing the access ends it.
      if (!isDone) pages.return().catch(() => {});
    }
  }

  datasets(): Promise<readonly string[]> {
    return this.#wait(this.#inner.datasets(), this.#signal);
  }

  createDataset(name: string): Promise<void> {
    return this.#wait(this.#inner.createDataset(name), this.#signal);
  }

  status(): Promise<StatusReply> {
    return this.#wait(this.#inner.status(), this.#signal);
  }

  fence(request: FenceRequest): Promise<FenceReply> {
    return this.#wait(this.#inner.fence(request), this.#signal);
  }

  tune(change: TuneRequest): Promise<void> {
    return this.#wait(this.#inner.tune(change), this.#signal);
  }

  /** Leaves in order, even when a signal asked to end. */
  close(): Promise<void> {
    return this.#wait(this.#inner.close());
  }

  #wait<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new UnavailableError(this.#waitMs)), this.#waitMs);
      signal?.addEventListener("abort", onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
      work.then(resolve, reject).finally(() => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      });

      function onAbort(): void {
        reject(signal?.reason);
      }
    });
  }
}
