/*
 * Errors of dialling and listening, in words that say what to write instead.
 */
import { CancelledError, TransportError, type TransportErrorCode } from "@holdfast/environment";
import { type HostAddress, formatHostAddress } from "./address.ts";

const VERBS: Readonly<Record<TransportErrorCode, string>> = {
  ERR_HOLDFAST_DIAL: "dial",
  ERR_HOLDFAST_LISTEN: "listen at",
  ERR_HOLDFAST_ADDRESS_IN_USE: "listen at",
  ERR_HOLDFAST_ADDRESS_INVALID: "listen at",
  ERR_HOLDFAST_ADDRESS_INSECURE: "use",
};

/** A {@link TransportError} that names the address and the reason. */
export function transportError(
  code: TransportErrorCode,
  address: string,
  reason: string,
  cause?: unknown,
): TransportError {
  const options = cause === undefined ? undefined : { cause };
  return new TransportError(code, `cannot ${VERBS[code]} ${address}: ${reason}`, address, options);
}

/** Why a text is no address. */
export function malformed(address: string): string {
  return `"${address}" is none of tcp://HOST:PORT, tls://HOST:PORT, unix:/PATH`;
}

/** Bytes in the clear would leave this host. */
export function insecure(address: string, target: HostAddress): TransportError {
  const reason = `only TLS leaves this host; write ${formatHostAddress({ ...target, type: "tls" })}`;
  return transportError("ERR_HOLDFAST_ADDRESS_INSECURE", address, reason);
}

/** TLS without a key. */
export function keyless(address: string): TransportError {
  const reason = "TLS needs the key that both sides know; give it to createNodeTransport({ key })";
  return transportError("ERR_HOLDFAST_ADDRESS_INSECURE", address, reason);
}

/** The caller does not want the connection any more. */
export function cancelledDial(address: string, signal: AbortSignal | undefined): CancelledError {
  return new CancelledError(`dialling ${address}`, { cause: signal?.reason });
}

/** What an error says. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system's name of an error, `ECONNREFUSED` for one. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
