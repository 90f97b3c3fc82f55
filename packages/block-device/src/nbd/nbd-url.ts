/*
 * NBD URLs, after the URI format of the NBD project (doc/uri.md), with the parameters that libnbd added for TLS.
 */
import { openError } from "../device-request.ts";
import { DEFAULT_PORT, STRING_BYTES_MAX } from "./protocol.ts";

/** How to secure a connection. */
export interface NbdTlsAddress {
  /** Name the server's certificate must be for; undefined over a Unix socket that names none. */
  readonly hostName: string | undefined;
  /** Folder with ca-cert.pem, and client-cert.pem with client-key.pem if the server asks for them. */
  readonly certificatesFolder: string | undefined;
  /** File of `USER:KEY` lines, keys in hexadecimal. */
  readonly pskFile: string | undefined;
  /** User of the pre-shared key; undefined if the file has only one. */
  readonly user: string | undefined;
  /** False: anybody's certificate is taken. */
  readonly isVerified: boolean;
}

/** Where an export is and how to reach it. */
export interface NbdAddress {
  readonly url: string;
  readonly place:
    | { readonly type: "tcp"; readonly host: string; readonly port: number }
    | { readonly type: "unix"; readonly path: string };
  readonly exportName: string;
  readonly tls: NbdTlsAddress | undefined;
  /** Connections to keep, 1 … {@link CONNECTIONS_MAX}. */
  readonly connectionsCount: number;
}

/** Most connections of one device. */
export const CONNECTIONS_MAX = 16;

const PORT_MAX = 65_535;
const SCHEME = /^nbds?(\+unix)?:/i;
const TLS_PARAMETERS = ["tls-certificates", "tls-psk-file", "tls-hostname", "tls-verify-peer", "tls-type"];
const PARAMETERS: ReadonlySet<string> = new Set(["socket", "connections", ...TLS_PARAMETERS]);

/** True if a URL is for this driver. */
export function isNbdUrl(url: string): boolean {
  return SCHEME.test(url);
}

/**
 * Takes an NBD URL apart.
 *
 * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_OPEN` that says what is wrong with it.
 */
export function parseNbdUrl(url: string): NbdAddress {
  const parts = parse(url);
  const parameters = parametersOf(url, parts.search);
  const isUnix = parts.protocol.endsWith("+unix:");
  const place = isUnix ? unixPlace(url, parts, parameters) : tcpPlace(url, parts, parameters);
  const isSecure = parts.protocol.startsWith("nbds");
  const foreign = isSecure ? undefined : TLS_PARAMETERS.find((name) => parameters.has(name));
  if (foreign !== undefined)
    throw openError(url, `${foreign} is for nbds:// and nbds+unix://, which encrypt; this URL would not`);
  if (!isSecure && parts.username !== "")
    throw openError(url, "a user is for nbds:// with tls-psk-file; nbd:// has none");
  return {
    url,
    place,
    exportName: exportNameOf(url, parts.pathname),
    tls: isSecure ? tlsOf(url, parts, parameters) : undefined,
    connectionsCount: connectionsOf(url, parameters.get("connections")),
  };
}

/** Parts of a URL, not decoded. */
interface UrlParts {
  readonly protocol: string;
  readonly username: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly search: string;
}

/** By the grammar of RFC 3986. Not by `URL`, which allows no user without a host, and those of Unix sockets have none. */
const URL_PARTS =
  /^(?<protocol>[a-z+]+:)\/\/(?:(?<username>[^@/?#]*)@)?(?<hostname>\[[0-9a-f:.]*\]|[^:@/?#[\]\s]*)(?::(?<port>\d*))?(?<pathname>\/[^?#]*)?(?:\?(?<search>[^#]*))?$/i;

function parse(url: string): UrlParts {
  const groups = URL_PARTS.exec(url)?.groups;
  const port = groups?.["port"] ?? "";
  if (groups === undefined || Number(port) > PORT_MAX)
    throw openError(
      url,
      "it is no URL of the form nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=/PATH",
    );
  return {
    protocol: (groups["protocol"] ?? "").toLowerCase(),
    username: groups["username"] ?? "",
    hostname: groups["hostname"] ?? "",
    port,
    pathname: groups["pathname"] ?? "",
    search: groups["search"] ?? "",
  };
}

/** Not `URLSearchParams`: there a plus is a blank, in the paths here it is a plus. */
function parametersOf(url: string, search: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const part of search.split("&")) {
    if (part === "") continue;
    const [name = "", ...rest] = part.split("=");
    const value = decode(url, rest.join("="));
    if (!PARAMETERS.has(name))
      throw openError(url, `it has an unknown parameter "${name}"; known are ${[...PARAMETERS].join(", ")}`);
    if (parameters.has(name)) throw openError(url, `it has the parameter ${name} twice`);
    if (value === "") throw openError(url, `its parameter ${name} is empty`);
    parameters.set(name, value);
  }
  return parameters;
}

function tcpPlace(
  url: string,
  parts: UrlParts,
  parameters: ReadonlyMap<string, string>,
): NbdAddress["place"] {
  if (parameters.has("socket"))
    throw openError(url, "a socket is for nbd+unix:// and nbds+unix://, not for TCP");
  if (parts.hostname === "") throw openError(url, "it names no host: nbd://HOST:PORT/EXPORT");
  const host = decode(url, parts.hostname).replace(/^\[(.*)\]$/, "$1");
  const port = parts.port === "" ? DEFAULT_PORT : Number(parts.port);
  if (port === 0) throw openError(url, "there is no port 0");
  return { type: "tcp", host, port };
}

function unixPlace(
  url: string,
  parts: UrlParts,
  parameters: ReadonlyMap<string, string>,
): NbdAddress["place"] {
  if (parts.hostname !== "")
    throw openError(url, "a Unix socket has no host: nbd+unix:///EXPORT?socket=/PATH");
  const path = parameters.get("socket");
  if (path === undefined) throw openError(url, "it names no socket: nbd+unix:///EXPORT?socket=/PATH");
  return { type: "unix", path };
}

function exportNameOf(url: string, pathname: string): string {
  const name = decode(url, pathname.slice(1));
  if (name.includes("\0")) throw openError(url, "an export's name has no zero character");
  if (Buffer.byteLength(name) > STRING_BYTES_MAX)
    throw openError(url, `an export's name has at most ${STRING_BYTES_MAX} bytes`);
  return name;
}

function tlsOf(url: string, parts: UrlParts, parameters: ReadonlyMap<string, string>): NbdTlsAddress {
  const pskFile = parameters.get("tls-psk-file");
  const certificatesFolder = parameters.get("tls-certificates");
  if (pskFile !== undefined && certificatesFolder !== undefined)
    throw openError(url, "it has both tls-psk-file and tls-certificates: choose one");
  checkType(url, parameters.get("tls-type"), pskFile !== undefined);
  const host = decode(url, parts.hostname).replace(/^\[(.*)\]$/, "$1");
  const hostName = parameters.get("tls-hostname") ?? (host === "" ? undefined : host);
  const isVerified = verificationOf(url, parameters.get("tls-verify-peer"));
  if (pskFile === undefined && isVerified && hostName === undefined)
    throw openError(url, "over a Unix socket, tls-hostname says whose certificate the server must show");
  const user = parts.username === "" ? undefined : decode(url, parts.username);
  if (user !== undefined && pskFile === undefined)
    throw openError(url, "a user is for tls-psk-file, which holds their keys; certificates know none");
  return { hostName, certificatesFolder, pskFile, user, isVerified };
}

function checkType(url: string, type: string | undefined, hasPsk: boolean): void {
  if (type === undefined) return;
  if (type !== "x509" && type !== "psk")
    throw openError(url, `tls-type is x509 or psk, not "${type}"; without authentication TLS is of no use`);
  if ((type === "psk") !== hasPsk)
    throw openError(url, hasPsk ? "tls-psk-file is for tls-type=psk" : "tls-type=psk needs tls-psk-file");
}

function verificationOf(url: string, text: string | undefined): boolean {
  if (text === undefined || text === "1" || text === "true") return true;
  if (text === "0" || text === "false") return false;
  throw openError(url, `tls-verify-peer is 1 or 0, not "${text}"`);
}

function connectionsOf(url: string, text: string | undefined): number {
  if (text === undefined) return 1;
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > CONNECTIONS_MAX)
    throw openError(url, `connections is 1 to ${CONNECTIONS_MAX}, not "${text}"`);
  return count;
}

function decode(url: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw openError(url, `"${text}" is not percent-encoded correctly`, cause);
  }
}
