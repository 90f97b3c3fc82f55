/*
 * Who votes on a volume now, seen from outside: hints change while their voter lives.
 *
 * Only liveness: a voter that was paused, or whose device stands still, is not seen.
 */
import { BLOCK_BYTES, type BlockDevice, blockOffset, type Clock, sleep } from "@holdfast/environment";
import { type QuorumRegion, readHint } from "@holdfast/quorum";

/** A voter as its hints show it. */
export interface LivingVoter {
  readonly rid: bigint;
  readonly address: string;
  readonly isServing: boolean;
}

/** Ten hints of every living voter at default times: enough for each to land where no other one overwrote it. */
const WATCH_MS = 1000;

/** The greatest number a hint was seen with, and the hint itself. */
type Sighting = LivingVoter & { readonly counter: number };

/**
 * The voters whose hints change while this looks, which takes a second.
 *
 * @throws {@link DeviceError} when the hints cannot be read.
 */
export async function livingVoters(
  region: QuorumRegion,
  { device, clock }: { readonly device: BlockDevice; readonly clock: Clock },
): Promise<readonly LivingVoter[]> {
  const before = await sightings(region, device);
  await sleep(clock, WATCH_MS);
  const after = await sightings(region, device);
  return [...after.values()]
    .filter(({ rid, counter }) => counter !== before.get(rid)?.counter)
    .map(({ rid, address, isServing }) => ({ rid, address, isServing }));
}

async function sightings(region: QuorumRegion, device: BlockDevice): Promise<ReadonlyMap<bigint, Sighting>> {
  const bytes = new Uint8Array(region.hintsCount * BLOCK_BYTES);
  await device.read(blockOffset(region.hintsBlock), bytes);
  const seen = new Map<bigint, Sighting>();
  for (let index = 0; index < region.hintsCount; index += 1) {
    const block = bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
    const hint = readHint(region, region.hintsBlock + BigInt(index), block);
    if (hint === undefined || hint.counter < (seen.get(hint.rid)?.counter ?? 0)) continue;
    seen.set(hint.rid, hint);
  }
  return seen;
}
