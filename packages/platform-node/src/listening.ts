/*
 * Begins to listen, whatever kind of server it is, and clears away what killed processes left.
 */
import { lstat, unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import type { StreamAddress } from "./address.ts";
import { reasonOf, systemCode, transportError } from "./failures.ts";

/**
 * Resolves when `server` listens at `place`.
 *
 * @throws TransportError `ERR_HOLDFAST_ADDRESS_IN_USE`, `ERR_HOLDFAST_LISTEN`.
 */
export async function listening(server: Server, place: StreamAddress, address: string): Promise<void> {
  try {
    await tryListening(server, place);
  } catch (cause) {
    if (systemCode(cause) !== "EADDRINUSE")
      throw transportError("ERR_HOLDFAST_LISTEN", address, reasonOf(cause), cause);
    if (place.type !== "unix" || !(await isFreed(place.path, address))) {
      const reason = "somebody listens there already";
      throw transportError("ERR_HOLDFAST_ADDRESS_IN_USE", address, reason, cause);
    }
    await listening(server, place, address);
  }
}

/** Resolves when the address is free. The server itself ends with its last stream, which is not waited for. */
export function stopListening(server: Server): Promise<void> {
  server.close();
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function tryListening(server: Server, place: StreamAddress): Promise<void> {
  const where = place.type === "unix" ? { path: place.path } : { host: place.host, port: place.port };
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** A process that is killed leaves the file of its Unix socket behind. True if that was so and the file is gone. */
async function isFreed(path: string, address: string): Promise<boolean> {
  try {
    const file = await lstat(path);
    if (!file.isSocket() || (await isAnswered(path))) return false;
    await unlink(path);
    return true;
  } catch (cause) {
    // Whoever listened there has just stopped.
    if (systemCode(cause) === "ENOENT") return true;
    throw transportError("ERR_HOLDFAST_LISTEN", address, reasonOf(cause), cause);
  }
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.on("connect", () => {
      probe.destroy();
      resolve(true);
    });
    // Only a refusal says that nobody is there; a full queue, for one, says the contrary.
    probe.on("error", (error) => resolve(systemCode(error) !== "ECONNREFUSED"));
  });
}
