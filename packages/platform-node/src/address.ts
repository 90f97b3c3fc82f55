/*
 * Addresses of streams: `tcp://HOST:PORT` and `tls://HOST:PORT` (an IPv6 host in brackets), and `unix:/PATH`.
 */
import { BlockList, isIP } from "node:net";

/** A host and a port, spoken to in the clear or through TLS. */
export interface HostAddress {
  readonly type: "tcp" | "tls";
  readonly host: string;
  readonly port: number;
}

/** Where to connect or to listen, in the words of `node:net`. */
export type StreamAddress = HostAddress | { readonly type: "unix"; readonly path: string };

/** Longest path of a Unix socket on Linux: 108 bytes with the zero behind it. Node.js would cut a longer one short. */
const PATH_BYTES_MAX = 107;
const PORT_MAX = 65_535;
const HOST_AND_PORT = /^(tcp|tls):\/\/(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([\w.-]+)):(\d{1,5})$/i;

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** The parts of an address, or undefined when it is none. */
export function parseAddress(text: string): StreamAddress | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    const isUsable = path !== "" && !path.includes("\0") && Buffer.byteLength(path) <= PATH_BYTES_MAX;
    return isUsable ? { type: "unix", path } : undefined;
  }
  const match = HOST_AND_PORT.exec(text);
  if (match === null) return undefined;
  const [, scheme, host6, name, digits] = match;
  const port = Number(digits);
  const host = host6 ?? name;
  if (host === undefined || port > PORT_MAX) return undefined;
  return { type: scheme?.toLowerCase() === "tls" ? "tls" : "tcp", host, port };
}

/** `tcp://HOST:PORT` or `tls://HOST:PORT`. */
export function formatHostAddress({ type, host, port }: HostAddress): string {
  return host.includes(":") ? `${type}://[${host}]:${port}` : `${type}://${host}:${port}`;
}

/**
 * True if what is said to this host stays on this one: 127.0.0.0/8, ::1 and the name `localhost`. Any other name may
 * mean anything tomorrow.
 */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return host.toLowerCase() === "localhost";
  // An IPv4 address in IPv6's clothes is looked up among the IPv4 ones by the list itself.
  return loopback.check(host, family === 4 ? "ipv4" : "ipv6");
}
