/*
 * The transport of one simulated process: dials and listens on the world's network.
 */
import { CancelledError, deferred, TransportError } from "@holdfast/environment";
import type { ByteStream, Listener, Transport } from "@holdfast/environment";
import { parseAddress, type Endpoint, type SimulatedNetwork } from "./network.ts";
import type { SimulatedProcess } from "./process.ts";

/** Addresses are `sim://HOST:PORT`; host `0` is the process's own, port 0 a free one. */
export class SimulatedTransport implements Transport {
  readonly #network: SimulatedNetwork;
  readonly #process: SimulatedProcess;

  constructor(network: SimulatedNetwork, process: SimulatedProcess) {
    this.#network = network;
    this.#process = process;
  }

  async dial(address: string, signal?: AbortSignal): Promise<ByteStream> {
    const target = parseAddress(address);
    if (target === undefined) {
      throw new TransportError("ERR_HOLDFAST_DIAL", `not a simulated address: ${address}`, address);
    }
    if (signal?.aborted === true) throw new CancelledError("the dial", { cause: signal.reason });
    return await this.#connect(address, target.host, signal);
  }

  #connect(address: string, host: string, signal: AbortSignal | undefined): Promise<ByteStream> {
    const process = this.#process;
    const network = this.#network;
    const done = deferred<ByteStream>();
    let isSettled = false;
    const timeout = network.world.after(network.dialTimeoutMs, () => refuse("nobody answered in time"));
    signal?.addEventListener("abort", onAbort, { once: true });
    network.world.after(network.delayMs(process.host, host), arrive);
    return done.promise;

    function arrive(): void {
      if (isSettled || process.isDead) return;
      if (!network.isOpen(process.host, host) || !network.isOpen(host, process.host)) {
        network.whenOpened(arrive);
        return;
      }
      const endpoint = network.endpointAt(address);
      network.world.after(network.delayMs(host, process.host), () => {
        if (endpoint === undefined) refuse("nobody listens there");
        else answer(endpoint);
      });
    }

    function answer(endpoint: Endpoint): void {
      if (isSettled || process.isDead) return;
      if (endpoint.process.isDead) {
        refuse("the listener died");
        return;
      }
      const [dialed, accepted] = network.connect(process, endpoint.process, address);
      endpoint.process.deliver("message", () => endpoint.accept(accepted));
      settle(() => done.resolve(dialed));
    }

    function refuse(why: string): void {
      settle(() =>
        done.reject(new TransportError("ERR_HOLDFAST_DIAL", `cannot reach ${address}: ${why}`, address)),
      );
    }

    function settle(how: () => void): void {
      if (isSettled) return;
      isSettled = true;
      network.world.cancel(timeout);
      signal?.removeEventListener("abort", onAbort);
      process.deliver("completion", how);
    }

    function onAbort(): void {
      settle(() => done.reject(new CancelledError("the dial", { cause: signal?.reason })));
    }
  }

  listen(address: string, accept: (stream: ByteStream) => void): Promise<Listener> {
    const network = this.#network;
    const process = this.#process;
    const done = deferred<Listener>();
    process.post("completion", () => {
      const endpoint: Endpoint = { process, accept };
      try {
        const bound = network.bind(address, endpoint);
        done.resolve({
          address: bound,
          close: () => {
            network.release(bound, endpoint);
            return Promise.resolve();
          },
        });
      } catch (error) {
        done.reject(error);
      }
    });
    return done.promise;
  }
}
