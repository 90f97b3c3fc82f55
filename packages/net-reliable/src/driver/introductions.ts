import type { Cancel } from "@holdfast/environment";
import { CALL_ABORTED } from "../codes.ts";
import type { Done } from "../pending-requests.ts";
import type { ClientSession, ServerContact } from "./client-options.ts";
import { failLater } from "./session-ports.ts";

/** What introductions need of their session. */
export interface IntroductionParts {
  /** Introduces the member; undefined when there is nothing to say. */
  introduce(contact: ServerContact): Promise<void> | undefined;
  /** Sends a call that only the present server may get. */
  callBound(command: number, body: Uint8Array, done: Done): Cancel;
  introduced(term: bigint): void;
  failed(term: bigint, error: unknown): void;
}

/** Introduces a member to each new server; what an older introduction still does or says counts for nothing. */
export class Introductions {
  readonly #parts: IntroductionParts;
  #contact = 0;

  constructor(parts: IntroductionParts) {
    this.#parts = parts;
  }

  /** The server of that term must be told who we are. */
  begin(term: bigint, isNew: boolean): void {
    this.#contact += 1;
    const contact = this.#contact;
    const call: ClientSession["call"] = (command, body, done) =>
      contact === this.#contact ? this.#parts.callBound(command, body, done) : failLater(done, CALL_ABORTED);
    const introduction = this.#parts.introduce({ term, isNew, call });
    if (introduction === undefined) {
      this.#parts.introduced(term);
      return;
    }
    introduction.then(
      () => {
        if (contact === this.#contact) this.#parts.introduced(term);
      },
      (error: unknown) => {
        if (contact !== this.#contact) return;
        this.#contact += 1;
        this.#parts.failed(term, error);
      },
    );
  }
}
