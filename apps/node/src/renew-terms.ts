import { openBlockDevice } from "@holdfast/block-device";
import type { FenceAgent } from "@holdfast/environment";
import { type RenewReport, renewVolume } from "@holdfast/member";
import { nodeClock, nodeProcesses, nodeRandom } from "@holdfast/platform-node";

/** How to renew. */
export interface RenewTermsOptions {
  /** Members of which the caller knows that they can never write to the device again. */
  readonly fenced?: ReadonlySet<bigint>;
  /** Is asked about members of which nothing else is known. */
  readonly fenceAgent?: FenceAgent;
  /** Gives up asking. */
  readonly signal?: AbortSignal;
}

/**
 * Starts the term slots of a volume afresh, while nobody has it open. Interrupted, it is to be called again.
 *
 * @throws {@link RenewRefusedError} `ERR_HOLDFAST_RENEW_REFUSED` while somebody is alive, or recorded and not confirmed dead.
 * @throws {@link VolumeError} when it is no volume, {@link DeviceError} when the device fails.
 */
export async function renewTerms(url: string, options: RenewTermsOptions = {}): Promise<RenewReport> {
  const { fenced = new Set(), fenceAgent, signal = new AbortController().signal } = options;
  const device = await openBlockDevice(url);
  try {
    return await renewVolume({
      device,
      clock: nodeClock,
      rid: nodeRandom.u64() | 1n,
      processes: nodeProcesses,
      fenced,
      signal,
      ...(fenceAgent === undefined ? {} : { fenceAgent }),
    });
  } finally {
    await device.close();
  }
}
