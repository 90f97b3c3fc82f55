/*
 * How a one-shot command reaches a volume: through a member of this host if one runs, else as a member itself.
 */
import { SILENT_LOGGER } from "@holdfast/environment";
import type { Access } from "../access.ts";
import { AdminClient } from "../admin/admin-client.ts";
import { removeSocket, socketAddresses } from "../admin/admin-socket.ts";
import { openVolume } from "../open-volume.ts";
import { superOf } from "../super-of.ts";
import { VolumeAccess } from "../volume-access.ts";
import { UnavailableError } from "./exit-codes.ts";

/** How to reach a volume. */
export interface ReachOptions {
  /** Give up after so long. */
  readonly waitMs: number;
  /** Where to listen if this command becomes a member. */
  readonly listen: string;
}

/**
 * Access to a volume.
 *
 * @throws {@link UnavailableError} `ERR_HOLDFAST_UNAVAILABLE` when nobody serves in time.
 */
export async function reach(url: string, { waitMs, listen }: ReachOptions): Promise<Access> {
  const { fsid, formatHash, key } = await superOf(url);
  for (const address of await socketAddresses(fsid)) {
    const client = await AdminClient.connect(address, { fsid, formatHash, key }, SILENT_LOGGER);
    if (client !== undefined) return client;
    await removeSocket(address);
  }
  const signal = AbortSignal.timeout(waitMs);
  try {
    return new VolumeAccess(await openVolume(url, { listen, fsid, signal }));
  } catch (error) {
    throw signal.aborted ? new UnavailableError(waitMs) : error;
  }
}

/** Runs `use` with access to a volume, and leaves in order. */
export async function withAccess<T>(
  url: string,
  options: ReachOptions,
  use: (access: Access) => Promise<T>,
): Promise<T> {
  const access = await reach(url, options);
  try {
    return await use(access);
  } finally {
    await access.close();
  }
}
