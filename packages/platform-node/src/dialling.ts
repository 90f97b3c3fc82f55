/*
 * Waits for a socket that dials, whatever speaks on it afterwards.
 */
import type { Socket } from "node:net";
import { cancelledDial, reasonOf, transportError } from "./failures.ts";

/** A dial that nobody answers, not even to refuse it, is given up after this; the system would try for minutes. */
const DIAL_TIMEOUT_MS = 5000;

/** A socket on its way. */
export interface Dialling {
  readonly socket: Socket;
  readonly address: string;
  /** The event that says it can be used. */
  readonly readyEvent: "connect" | "secureConnect";
  /** Why the socket must not be used although it is connected; undefined if it may. */
  objection(): string | undefined;
}

/**
 * Resolves when the socket is ready; it is paused then and has no listeners of ours.
 *
 * @throws TransportError `ERR_HOLDFAST_DIAL`; CancelledError when `signal` aborts; the socket is destroyed then.
 */
export function dialled(dialling: Dialling, signal: AbortSignal | undefined): Promise<void> {
  const { socket, address, readyEvent } = dialling;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      fail(transportError("ERR_HOLDFAST_DIAL", address, `no answer within ${DIAL_TIMEOUT_MS} ms`));
    }, DIAL_TIMEOUT_MS);
    socket.on(readyEvent, onReady);
    socket.on("error", onError);
    socket.on("close", onClose);
    signal?.addEventListener("abort", onAbort, { once: true });

    function onReady(): void {
      const objection = dialling.objection();
      if (objection !== undefined) {
        fail(transportError("ERR_HOLDFAST_DIAL", address, objection));
        return;
      }
      settle();
      socket.pause();
      resolve();
    }

    function onError(cause: unknown): void {
      fail(transportError("ERR_HOLDFAST_DIAL", address, reasonOf(cause), cause));
    }

    function onClose(): void {
      fail(transportError("ERR_HOLDFAST_DIAL", address, "the other side closed before it was ready"));
    }

    function onAbort(): void {
      fail(cancelledDial(address, signal));
    }

    function fail(error: Error): void {
      settle();
      // It may still fail for a reason of its own, which then interests nobody.
      socket.on("error", () => {});
      socket.destroy();
      reject(error);
    }

    function settle(): void {
      clearTimeout(timer);
      socket.off(readyEvent, onReady);
      socket.off("error", onError);
      socket.off("close", onClose);
      signal?.removeEventListener("abort", onAbort);
    }
  });
}
