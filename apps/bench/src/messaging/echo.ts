/*
 * What every contestant of the messaging suite is: a server that answers what it gets, and a client that asks.
 */

/** A connection to an echo server. */
export interface EchoClient {
  /** Called for each answer, in the order of the requests; the body is valid only during the call. */
  replied: (body: Uint8Array) => void;
  /** Called when the connection is gone and requests with it; a session never tells, because it goes on by itself. */
  broken: () => void;
  /** Asks; the body may be reused at once if the contestant says so. */
  send(body: Uint8Array): void;
  /** Ends the connection. */
  close(): void;
}

/** One way to exchange messages. */
export interface Contestant {
  /** `send` and the answers of {@link serve} copy the bytes they get, so that an encoder may reuse its own. */
  readonly isCopying: boolean;
  /** Serves at a place; resolves with the address that {@link connect} wants. */
  serve(place: Place, answer: Answer): Promise<string>;
  connect(address: string): Promise<EchoClient>;
}

/** What a server says to a request. */
export type Answer = (body: Uint8Array) => Uint8Array;

/** The kind of socket, and for a Unix socket where it is. */
export type Place = { readonly kind: "tcp" } | { readonly kind: "unix"; readonly path: string };

/** Nobody measures a connection that fails. */
export function fail(reason: string): never {
  throw new Error(reason);
}
