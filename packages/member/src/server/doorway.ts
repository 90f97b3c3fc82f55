/*
 * A voter's listening address, held from the moment it opens the volume to the moment it leaves.
 *
 * A voter serves only now and then, and may be needed years after it was started: that its address is taken, or
 * malformed, must show at the start and not then. So it listens all the time, and shows whoever comes while it does
 * not serve the door: to a member that dials, that is as good as nobody there.
 */
import { type ByteStream, invariant, type Listener, type Transport } from "@holdfast/environment";

/** A listening address that servers of one process take turns to answer at. */
export class Doorway {
  /** What others dial. */
  readonly address: string;
  /** The transport for servers: they listen at the doorway, whatever address they ask for. */
  readonly transport: Transport;
  readonly #listener: Listener;
  readonly #welcome: Welcome;

  private constructor(transport: Transport, listener: Listener, welcome: Welcome) {
    this.address = listener.address;
    this.#listener = listener;
    this.#welcome = welcome;
    this.transport = {
      dial: (address, signal) => transport.dial(address, signal),
      listen: async (_, accept) => this.#enter(accept),
    };
  }

  /**
   * Takes an address.
   *
   * @throws {@link TransportError} `ERR_HOLDFAST_ADDRESS_IN_USE`, `ERR_HOLDFAST_ADDRESS_INVALID`, `ERR_HOLDFAST_LISTEN`.
   */
  static async open(transport: Transport, address: string): Promise<Doorway> {
    const welcome: Welcome = { accept: undefined };
    const listener = await transport.listen(address, (stream) => {
      if (welcome.accept === undefined) stream.destroy();
      else welcome.accept(stream);
    });
    return new Doorway(transport, listener, welcome);
  }

  /** Gives the address up. */
  close(): Promise<void> {
    this.#welcome.accept = undefined;
    return this.#listener.close();
  }

  #enter(accept: (stream: ByteStream) => void): Listener {
    invariant(this.#welcome.accept === undefined, "one server answers at a time");
    this.#welcome.accept = accept;
    return {
      address: this.address,
      close: () => {
        if (this.#welcome.accept === accept) this.#welcome.accept = undefined;
        return Promise.resolve();
      },
    };
  }
}

/** Who answers now; nobody while this process does not serve. */
interface Welcome {
  accept: ((stream: ByteStream) => void) | undefined;
}
