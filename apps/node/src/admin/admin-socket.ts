/*
 * Where members of this host are found: one directory per user, one socket per member.
 */
import type { Stats } from "node:fs";
import { lstat, mkdir, readdir, unlink } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { HoldfastError } from "@holdfast/environment";
import { nodeRandom, nodeTransport } from "@holdfast/platform-node";

/** The directory for sockets cannot be used. */
export class SocketDirectoryError extends HoldfastError<
  "ERR_HOLDFAST_SOCKET_DIRECTORY",
  { readonly directory: string }
> {
  constructor(directory: string, reason: string, options?: ErrorOptions) {
    super(
      "ERR_HOLDFAST_SOCKET_DIRECTORY",
      "io",
      `the directory for members' sockets, ${directory}, cannot be used: ${reason}; set XDG_RUNTIME_DIR to another`,
      { directory },
      options,
    );
  }
}

/** Longest path of a socket: Linux has room for 108 bytes with the zero behind it. */
const PATH_BYTES_MAX = 107;

/** Directory of this user's sockets; nobody else may enter it. */
export function socketDirectory(): string {
  const runtime = process.env["XDG_RUNTIME_DIR"];
  return runtime === undefined || runtime === ""
    ? join(tmpdir(), `holdfast-${userInfo().uid}`)
    : join(runtime, "holdfast");
}

/**
 * Address for a new member's socket; makes the directory.
 *
 * @throws {@link SocketDirectoryError} `ERR_HOLDFAST_SOCKET_DIRECTORY` when it is somebody else's, or its path too long.
 */
export async function newSocketAddress(fsid: bigint): Promise<string> {
  const directory = socketDirectory();
  const { uid, mode } = await madeDirectory(directory);
  if (uid !== userInfo().uid || (mode & 0o077) !== 0)
    throw new SocketDirectoryError(directory, "others than you can enter it");
  const path = join(directory, `${hex(fsid)}-${hex(nodeRandom.u64())}.sock`);
  if (Buffer.byteLength(path) > PATH_BYTES_MAX)
    throw new SocketDirectoryError(directory, "its path is too long for a socket");
  return `unix:${path}`;
}

async function madeDirectory(path: string): Promise<Stats> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return await lstat(path);
  } catch (error) {
    throw new SocketDirectoryError(path, error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
}

/** Addresses at which members of a volume may listen; some may be left over from members that were killed. */
export async function socketAddresses(fsid: bigint): Promise<readonly string[]> {
  try {
    const names = await readdir(socketDirectory());
    return names
      .filter((name) => name.startsWith(`${hex(fsid)}-`) && name.endsWith(".sock"))
      .map((name) => `unix:${join(socketDirectory(), name)}`);
  } catch (error) {
    // In a directory of another user there is no member of ours.
    if (codeOf(error) === "ENOENT" || codeOf(error) === "EACCES") return [];
    throw error;
  }
}

/** True if the process that listened there is gone: it was killed, and left the socket behind. */
export async function isAbandoned(address: string): Promise<boolean> {
  try {
    (await nodeTransport.dial(address)).destroy();
    return false;
  } catch (error) {
    const reason = error instanceof Error ? codeOf(error.cause) : undefined;
    return reason === "ECONNREFUSED" || reason === "ENOENT";
  }
}

/** Removes the socket of a member that is gone. */
export async function removeSocket(address: string): Promise<void> {
  try {
    await unlink(address.slice("unix:".length));
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}
