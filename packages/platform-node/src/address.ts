/*
 * Addresses of streams: `tcp://HOST:PORT` (an IPv6 host in brackets) and `unix:/PATH`.
 */

/** Where to connect or to listen, in the words of `node:net`. */
export type StreamAddress =
  | { readonly type: "tcp"; readonly host: string; readonly port: number }
  | { readonly type: "unix"; readonly path: string };

/** Longest path of a Unix socket on Linux: 108 bytes with the zero behind it. Node.js would cut a longer one short. */
const PATH_BYTES_MAX = 107;
const PORT_MAX = 65_535;
const TCP = /^tcp:\/\/(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([\w.-]+)):(\d{1,5})$/i;

/** The parts of an address, or undefined when it is none. */
export function parseAddress(text: string): StreamAddress | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    const isUsable = path !== "" && !path.includes("\0") && Buffer.byteLength(path) <= PATH_BYTES_MAX;
    return isUsable ? { type: "unix", path } : undefined;
  }
  const match = TCP.exec(text);
  if (match === null) return undefined;
  const [, host6, name, digits] = match;
  const port = Number(digits);
  const host = host6 ?? name;
  return host === undefined || port > PORT_MAX ? undefined : { type: "tcp", host, port };
}

/** `tcp://HOST:PORT`. */
export function formatTcpAddress(host: string, port: number): string {
  return host.includes(":") ? `tcp://[${host}]:${port}` : `tcp://${host}:${port}`;
}
