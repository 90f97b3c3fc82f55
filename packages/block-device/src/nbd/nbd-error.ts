/*
 * What an NBD server may do wrong, or refuse; both become the cause of a `DeviceError`.
 */
import { HoldfastError } from "@holdfast/environment";
import { ERRORS } from "./protocol.ts";

/** A server that broke the protocol, or cannot do what a shared volume needs. Its connection is closed. */
export class NbdProtocolError extends HoldfastError<"ERR_HOLDFAST_NBD_PROTOCOL", Record<string, never>> {
  constructor(reason: string, options?: ErrorOptions) {
    super("ERR_HOLDFAST_NBD_PROTOCOL", "protocol", reason, {}, options);
  }
}

/** A request that the server answered with an error. */
export class NbdServerError extends HoldfastError<
  "ERR_HOLDFAST_NBD_SERVER",
  { readonly errno: string; readonly number: number }
> {
  /** @param said - The server's own words, empty if it gave none. */
  constructor(errno: number, said: string) {
    const known = ERRORS.get(errno);
    const name = known?.name ?? `error ${errno}`;
    const meaning = known === undefined ? "" : `: ${known.meaning}`;
    const words = said === "" ? "" : ` ("${said}")`;
    super("ERR_HOLDFAST_NBD_SERVER", "io", `the server answered ${name}${meaning}${words}`, {
      errno: name,
      number: errno,
    });
  }
}

/** Characters of a server's text that reach a message. */
const TEXT_LENGTH_MAX = 200;

/** Foreign text, made fit for one line of a terminal. */
export function readableText(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes.subarray(0, 4 * TEXT_LENGTH_MAX));
  return text.replaceAll(/\p{C}/gu, " ").trim().slice(0, TEXT_LENGTH_MAX);
}
