/*
 * What stands between a client and its server and can cut all connections at once, as a failing network does.
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A running proxy. */
export interface ResetProxy {
  /** Where clients connect instead. */
  readonly port: number;
  /** Resets every connection, on both sides. */
  reset(): void;
  /** Cuts everything and stops. */
  stop(): Promise<void>;
}

/** Starts a proxy to a port of this host. */
export async function startResetProxy(serverPort: number): Promise<ResetProxy> {
  const sockets = new Set<Socket>();
  const proxy = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: "127.0.0.1", port: serverPort, noDelay: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.unref();
      socket.pipe(other);
      // Whichever side goes takes the other with it.
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => {
    proxy.listen(0, "127.0.0.1", resolve);
  });
  // What is left of it keeps no process from ending.
  proxy.unref();
  const reset = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (proxy.address() as AddressInfo).port,
    reset,
    stop: () => {
      reset();
      return new Promise((resolve) => {
        proxy.close(() => resolve());
      });
    },
  };
}
