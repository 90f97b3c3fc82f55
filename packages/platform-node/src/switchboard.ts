/*
 * A transport whose streams are made elsewhere: over a `MessagePort`, a child's standard streams, anything.
 *
 * Whoever makes a stream offers one end at an address, and `connect` gives the other end to whoever dials it. So
 * protocols that dial and listen run over connections that somebody else set up.
 */
import { type ByteStream, type Listener, type Transport, CancelledError } from "@holdfast/environment";
import { cancelledDial, reasonOf, transportError } from "./failures.ts";

const ADDRESS = /^stream:[\w.:/-]{1,200}$/;
const MALFORMED = "an address of a switchboard is stream:NAME";

/** Makes the near end of a stream to `address`, or throws. */
export type Connect = (address: string, signal?: AbortSignal) => Promise<ByteStream>;

/** Dials and listens at addresses `stream:NAME`. */
export class Switchboard implements Transport {
  readonly #connect: Connect;
  readonly #listening: Map<string, (stream: ByteStream) => void> = new Map();

  /** @param connect - Called by each dial; without one, nobody dials from here. */
  constructor(connect: Connect = nobody) {
    this.#connect = connect;
  }

  /** Gives a stream to whoever listens at `address`. False, and the stream is destroyed, when nobody does. */
  offer(address: string, stream: ByteStream): boolean {
    const accept = this.#listening.get(address);
    if (accept === undefined) stream.destroy();
    else accept(stream);
    return accept !== undefined;
  }

  async dial(address: string, signal?: AbortSignal): Promise<ByteStream> {
    if (!ADDRESS.test(address)) throw transportError("ERR_HOLDFAST_DIAL", address, MALFORMED);
    if (isAborted(signal)) throw cancelledDial(address, signal);
    const stream = await this.#connected(address, signal);
    if (!isAborted(signal)) return stream;
    stream.destroy();
    throw cancelledDial(address, signal);
  }

  async listen(address: string, accept: (stream: ByteStream) => void): Promise<Listener> {
    if (!ADDRESS.test(address)) throw transportError("ERR_HOLDFAST_ADDRESS_INVALID", address, MALFORMED);
    if (this.#listening.has(address))
      throw transportError("ERR_HOLDFAST_ADDRESS_IN_USE", address, "somebody listens there already");
    this.#listening.set(address, accept);
    return {
      address,
      close: async () => {
        if (this.#listening.get(address) === accept) this.#listening.delete(address);
      },
    };
  }

  async #connected(address: string, signal: AbortSignal | undefined): Promise<ByteStream> {
    try {
      return await this.#connect(address, signal);
    } catch (cause) {
      if (cause instanceof CancelledError) throw cause;
      throw transportError("ERR_HOLDFAST_DIAL", address, reasonOf(cause), cause);
    }
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function nobody(): Promise<ByteStream> {
  return Promise.reject(new Error("nobody dials from here"));
}
