/*
 * Where members of this host are found: one directory per user, one socket per member.
 */
import { mkdir, readdir, unlink } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** Directory of this user's sockets; nobody else may enter it. */
export function socketDirectory(): string {
  const runtime = process.env["XDG_RUNTIME_DIR"];
  return runtime === undefined || runtime === ""
    ? join(tmpdir(), `holdfast-${userInfo().uid}`)
    : join(runtime, "holdfast");
}

/** Address for a member's own socket; makes the directory. */
export async function newSocketAddress(fsid: bigint, rid: bigint): Promise<string> {
  const directory = socketDirectory();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return `unix:${join(directory, `${hex(fsid)}-${hex(rid)}.sock`)}`;
}

/** Addresses at which members of a volume may listen; some may be left over from members that were killed. */
export async function socketAddresses(fsid: bigint): Promise<readonly string[]> {
  try {
    const names = await readdir(socketDirectory());
    return names
      .filter((name) => name.startsWith(`${hex(fsid)}-`) && name.endsWith(".sock"))
      .map((name) => `unix:${join(socketDirectory(), name)}`);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

/** Removes the socket of a member that is gone. */
export async function removeSocket(address: string): Promise<void> {
  try {
    await unlink(address.slice("unix:".length));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}

function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}
