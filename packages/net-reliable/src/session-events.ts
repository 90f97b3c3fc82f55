/** Answers a request: `error` 0 is success; called once, at any time; `body` is copied before it returns. */
export interface Respond {
  (error: number, body: Uint8Array): void;
}

/** What a session tells its owner. */
export interface SessionEvents {
  /**
   * The peer asks; `body` is valid only during the call. A codec's `RangeError` or protocol error that leaves it
   * before it has responded is answered with `CALL_MALFORMED`. `id` names the request for the life of the peer: sent
   * again to another server it has the same, so whoever stores results under it does nothing twice (N29).
   */
  request(command: number, body: Uint8Array, respond: Respond, id: number): void;
  /** There is something to drain where there was nothing. */
  output(): void;
}
