/*
 * Opens an NBD URL: checks that the export is fit to be shared, and that it stays so whenever it is connected again.
 */
import { type Logger, SILENT_LOGGER } from "@holdfast/environment";
import { openError, reasonOf, systemCode } from "../device-request.ts";
import type { Connection } from "./connection.ts";
import { dial } from "./dial.ts";
import { NbdDevice, type NbdDeviceFacts, type NbdLimits } from "./nbd-device.ts";
import { NbdProtocolError } from "./nbd-error.ts";
import { type NbdAddress, parseNbdUrl } from "./nbd-url.ts";
import type { NbdExport } from "./negotiation.ts";
import { EXPORT_FLAG } from "./protocol.ts";
import { tlsOptions } from "./tls-options.ts";

/** How to open an NBD export. */
export interface NbdOptions extends NbdLimits {
  readonly isReadOnly?: boolean;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
  /** Told of lost and new connections; silent by default. */
  readonly log?: Logger;
}

const REQUEST_TIMEOUT_MS = 10_000;
const GIVE_UP_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5000;
/** Longer requests go in pieces of this, so that they share the connections. */
const PIECE_BYTES = 1024 * 1024;
const SECTOR_BYTES_MIN = 512;
const SECTOR_BYTES_MAX = 4096;

/**
 * Opens an export of an NBD server.
 *
 * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_OPEN` that says what is wrong with the URL, the server or the export.
 */
export async function openNbdDevice(url: string, options: NbdOptions = {}): Promise<NbdDevice> {
  const address = parseNbdUrl(url);
  const tls = address.tls === undefined ? undefined : await tlsOptions(url, address.tls);
  const isReadOnly = options.isReadOnly === true;
  const connect = (
    signal: AbortSignal | undefined,
    accept: (facts: NbdExport) => void,
  ): Promise<Connection> => {
    const limit = AbortSignal.timeout(options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
    const either = signal === undefined ? limit : AbortSignal.any([signal, limit]);
    return dial({ address, tls, signal: either, accept });
  };
  try {
    const first = await connect(options.signal, (facts) => checkExport(facts, isReadOnly));
    const facts = deviceFacts(first.export, options);
    const { connectionsCount } = address;
    const again = (signal: AbortSignal): Promise<Connection> =>
      connect(signal, (found) => checkSame(found, first.export));
    return new NbdDevice({ url, connectionsCount, ...facts, dial: again }, first);
  } catch (cause) {
    throw openError(url, whyNot(address, cause), cause);
  }
}

function deviceFacts(
  facts: NbdExport,
  options: NbdOptions,
): Omit<NbdDeviceFacts, "url" | "connectionsCount" | "dial"> {
  const sectorBytes = Math.max(SECTOR_BYTES_MIN, facts.blockBytesMin);
  const can = (flag: number): boolean => (facts.flags & flag) !== 0;
  return {
    sizeBytes: facts.sizeBytes - (facts.sizeBytes % BigInt(sectorBytes)),
    sectorBytes,
    isReadOnly: options.isReadOnly === true,
    pieceBytesMax: Math.floor(Math.min(PIECE_BYTES, facts.payloadBytesMax) / sectorBytes) * sectorBytes,
    canFlush: can(EXPORT_FLAG.flush),
    canTrim: can(EXPORT_FLAG.trim),
    canZero: can(EXPORT_FLAG.writeZeroes),
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    giveUpMs: options.giveUpMs ?? GIVE_UP_MS,
    log: options.log ?? SILENT_LOGGER,
  };
}

/** @throws {@link NbdProtocolError} when members cannot share the export. */
function checkExport(
  { flags, sizeBytes, blockBytesMin, payloadBytesMax }: NbdExport,
  isReadOnly: boolean,
): void {
  const can = (flag: number): boolean => (flags & flag) !== 0;
  if (sizeBytes < BigInt(SECTOR_BYTES_MAX)) throw new NbdProtocolError("the export has less than 4096 bytes");
  if (sizeBytes > BigInt(Number.MAX_SAFE_INTEGER))
    throw new NbdProtocolError("the export has 2^53 bytes or more");
  if (blockBytesMin > SECTOR_BYTES_MAX)
    throw new NbdProtocolError(`its blocks have ${blockBytesMin} bytes: more than 4096 cannot be used`);
  if (payloadBytesMax < SECTOR_BYTES_MAX)
    throw new NbdProtocolError(
      `it takes requests of at most ${payloadBytesMax} bytes: less than 4096 cannot be used`,
    );
  if (!can(EXPORT_FLAG.multiConn))
    throw new NbdProtocolError(
      "it does not promise one content to several connections (MULTI_CONN), so nothing can be shared over it; " +
        "nbdkit: leave --filter=multi-conn and --filter=cache away; qemu-nbd: --shared=8; nbd-server: leave copyonwrite away",
    );
  if (isReadOnly) return;
  if (can(EXPORT_FLAG.readOnly)) throw new NbdProtocolError("the export is read-only");
  if (!can(EXPORT_FLAG.fua) && !can(EXPORT_FLAG.flush))
    throw new NbdProtocolError(
      "it cannot make writes durable (neither FUA nor FLUSH); nbd-server: set flush = true and fua = true for the export",
    );
}

/** @throws {@link NbdProtocolError} when a server that came back exports something else. */
function checkSame(found: NbdExport, first: NbdExport): void {
  if (found.sizeBytes !== first.sizeBytes)
    throw new NbdProtocolError(
      `it exports ${found.sizeBytes} bytes now, ${first.sizeBytes} before: open the device again`,
    );
  const lost = (first.flags & ~found.flags) | (found.flags & ~first.flags & EXPORT_FLAG.readOnly);
  const isFit = found.blockBytesMin <= first.blockBytesMin && found.payloadBytesMax >= first.payloadBytesMax;
  if (lost !== 0 || !isFit)
    throw new NbdProtocolError("it cannot do now what it could before: open the device again");
}

function whyNot({ place }: NbdAddress, cause: unknown): string {
  const where = place.type === "tcp" ? `${place.host}:${place.port}` : place.path;
  if (cause instanceof NbdProtocolError) return `the server at ${where}: ${cause.message}`;
  if (cause instanceof DOMException && cause.name === "TimeoutError")
    return `the server at ${where} did not finish the handshake in time`;
  const code = systemCode(cause);
  if (code === "ECONNREFUSED" || code === "ENOENT") return `no NBD server listens at ${where} (${code})`;
  return `connecting to the server at ${where} failed: ${reasonOf(cause)}`;
}
