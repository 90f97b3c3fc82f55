/*
 * How a one-shot command reaches a volume: through a member of this host if one runs, else as a member itself.
 */
import { SILENT_LOGGER } from "@holdfast/environment";
import type { SuperBlock } from "@holdfast/member";
import type { Access } from "../access.ts";
import { AdminClient } from "../admin/admin-client.ts";
import { isAbandoned, removeSocket, socketAddresses } from "../admin/admin-socket.ts";
import { openVolume } from "../open-volume.ts";
import { superOf } from "../super-of.ts";
import { VolumeAccess } from "../volume-access.ts";
import { InterruptedError, UnavailableError } from "./exit-codes.ts";
import { printWarning } from "./output.ts";
import { Obstacles } from "./obstacles.ts";
import { PatientAccess } from "./patient-access.ts";

/** How to reach a volume. */
export interface ReachOptions {
  /** Give up any single wait after so long. */
  readonly waitMs: number;
  /** Where to listen if this command becomes a member. */
  readonly listen: string;
  readonly isJson: boolean;
  /** Becomes a member that campaigns with so many votes, even if another one runs on this host. */
  readonly campaignVotes?: number;
}

/** A member that runs greets within milliseconds; one that is frozen is passed over. */
const GREETING_LIMIT_MS = 3000;

const END_SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Runs `use` with access to a volume, and leaves in order, also when SIGINT or SIGTERM asks for it. A second signal
 * ends the process at once.
 *
 * @throws {@link UnavailableError} `ERR_HOLDFAST_UNAVAILABLE` when nobody serves in time.
 * @throws {@link InterruptedError} `ERR_HOLDFAST_INTERRUPTED` after a signal.
 */
export async function withAccess<T>(
  url: string,
  options: ReachOptions,
  use: (access: Access, signal: AbortSignal, superBlock: SuperBlock) => Promise<T>,
): Promise<T> {
  const ending = new AbortController();
  const interrupt = (signal: NodeJS.Signals): void => ending.abort(new InterruptedError(signal));
  for (const signal of END_SIGNALS) process.once(signal, interrupt);
  try {
    const { superBlock, damagedCopies } = await superOf(url);
    for (const block of damagedCopies)
      printWarning(options.isJson, `super block ${block} of ${url} is damaged, its copy serves`);
    const inner = await reach(url, superBlock, options, ending.signal);
    const access = new PatientAccess(inner, options.waitMs, ending.signal);
    return await useAndLeave(access, options.isJson, () => use(access, ending.signal, superBlock));
  } finally {
    for (const signal of END_SIGNALS) process.off(signal, interrupt);
  }
}

/** What went wrong first is what the user is told as the error. */
async function useAndLeave<T>(access: Access, isJson: boolean, use: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await use();
  } catch (error) {
    await access
      .close()
      .catch((closing: unknown) => printWarning(isJson, `cannot leave in order: ${String(closing)}`));
    throw error;
  }
  await access.close();
  return result;
}

async function reach(
  url: string,
  superBlock: SuperBlock,
  { waitMs, listen, campaignVotes }: ReachOptions,
  ending: AbortSignal,
): Promise<Access> {
  const addresses = campaignVotes === undefined ? await socketAddresses(superBlock.fsid) : [];
  for (const address of addresses) {
    if (await isAbandoned(address)) {
      await removeSocket(address);
      continue;
    }
    const signal = AbortSignal.any([ending, AbortSignal.timeout(Math.min(waitMs, GREETING_LIMIT_MS))]);
    const client = await AdminClient.connect({ address, identity: superBlock, log: SILENT_LOGGER, signal });
    if (client !== undefined) return client;
    ending.throwIfAborted();
  }
  const limit = AbortSignal.timeout(waitMs);
  const log = new Obstacles(url);
  try {
    const signal = AbortSignal.any([ending, limit]);
    const votes = campaignVotes === undefined ? {} : { votes: campaignVotes };
    return new VolumeAccess(await openVolume(url, { listen, log, fsid: superBlock.fsid, signal, ...votes }));
  } catch (error) {
    ending.throwIfAborted();
    throw limit.aborted ? new UnavailableError(waitMs, log.latest) : error;
  }
}
