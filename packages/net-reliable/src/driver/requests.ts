import { type Cancel, CancelledError, deferred } from "@holdfast/environment";
import { checkRequest } from "../check-request.ts";
import { CALL_OVERLOADED } from "../codes.ts";
import { RequestError } from "../errors.ts";
import { WAITING_REQUESTS_MAX } from "../limits.ts";
import type { Done } from "../pending-requests.ts";

/** Sends a request; undefined while there is no room for it. */
export type TrySubmit = (command: number, body: Uint8Array, done: Done) => Cancel | undefined;

/** Requests of one session as promises; those for which there is no room wait, in their order. */
export class Requests {
  readonly #submit: TrySubmit;
  /** Each tries to go, and tells whether it could. */
  readonly #waiting: Set<() => boolean> = new Set();

  constructor(submit: TrySubmit) {
    this.#submit = submit;
  }

  /** Requests that wait for room. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Sends a request and waits for its answer; see `ClientSession.request`. */
  request(command: number, body: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    if (signal?.aborted === true)
      return Promise.reject(new CancelledError("the request", { cause: signal.reason }));
    const answer = deferred<Uint8Array>();
    try {
      checkRequest(command, body);
    } catch (error) {
      return Promise.reject(error);
    }
    let cancel: Cancel = () => this.#waiting.delete(go);
    const finish: Done = (error, bytes) => {
      signal?.removeEventListener("abort", onAbort);
      if (error === 0) answer.resolve(bytes.slice());
      else answer.reject(new RequestError(command, error, bytes.slice()));
    };
    let ownBody = body;
    const go = (): boolean => {
      const cancelCall = this.#submit(command, ownBody, finish);
      if (cancelCall === undefined) return false;
      cancel = cancelCall;
      return true;
    };
    const onAbort = (): void => {
      cancel();
      answer.reject(new CancelledError("the request", { cause: signal?.reason }));
    };
    // Whoever comes while others wait goes behind them.
    if (this.#waiting.size > 0 || !go()) {
      if (this.#waiting.size >= WAITING_REQUESTS_MAX) {
        finish(CALL_OVERLOADED, new Uint8Array(0));
        return answer.promise;
      }
      // The caller may use its memory for the next one, whether this one goes at once or not.
      ownBody = body.slice();
      this.#waiting.add(go);
    }
    signal?.addEventListener("abort", onAbort, { once: true });
    return answer.promise;
  }

  /** There may be room, or the session has closed: lets go those who can. */
  resume(): void {
    for (const go of this.#waiting) {
      if (!go()) return;
      this.#waiting.delete(go);
    }
  }
}
