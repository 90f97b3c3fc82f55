/*
 * A device for an election alone: made, opened, renewed.
 */
import { BLOCK_BYTES, type BlockDevice, type Random, blockOffset } from "@holdfast/environment";
import {
  ELECTION_HEADER_BLOCKS,
  type ElectionHeader,
  type FoundElection,
  electionRegion,
  newElectionHeader,
  readElectionHeader,
  sealElectionHeader,
  termsFor,
} from "../election-header.ts";
import { ElectionDeviceError } from "../errors.ts";
import { formatQuorum } from "../format.ts";
import type { QuorumRegion } from "../region.ts";
import type { IoPorts } from "./block-io.ts";
import { readRecordToRenew, renewQuorum } from "./renew-quorum.ts";
import { writeBlocks } from "./write-blocks.ts";

/** What making an election needs. */
export interface FormatElectionPorts {
  readonly device: BlockDevice;
  readonly random: Pick<Random, "u64">;
}

/**
 * Makes a device an election's. Whatever it held is gone, but for an election: that is refused. To be done once, by one
 * process.
 *
 * @param state - What the first leader finds as `state`, at most `RECORD_PAYLOAD_BYTES_MAX` bytes; default nothing.
 * @throws ElectionDeviceError `ERR_HOLDFAST_ELECTION_EXISTS`, `ERR_HOLDFAST_ELECTION_TOO_SMALL`.
 */
export async function formatElection(
  { device, random }: FormatElectionPorts,
  state: Uint8Array = new Uint8Array(0),
): Promise<void> {
  const terms = termsFor(device.sizeBytes);
  if (terms < 2)
    throw new ElectionDeviceError(
      "ERR_HOLDFAST_ELECTION_TOO_SMALL",
      `an election needs at least 120 KiB, ${device.url} has ${device.sizeBytes} bytes`,
      device.url,
    );
  if ((await readHeader(device)) !== undefined)
    throw new ElectionDeviceError(
      "ERR_HOLDFAST_ELECTION_EXISTS",
      `${device.url} holds an election already; to make another one, take another file, or zero its first 8 KiB`,
      device.url,
    );
  const header = newElectionHeader(terms);
  const fsid = random.u64();
  await writeBlocks(formatQuorum(electionRegion(fsid, header), state), device);
  await writeHeader(device, fsid, header);
}

/**
 * Where the election of a device stands.
 *
 * @throws ElectionDeviceError `ERR_HOLDFAST_ELECTION_MISSING`, `ERR_HOLDFAST_RENEWAL_INTERRUPTED`, and
 *   `ERR_HOLDFAST_ELECTION_TOO_SMALL` when the device has become smaller.
 */
export async function openElection(device: BlockDevice): Promise<QuorumRegion> {
  const { fsid, header } = await findElection(device);
  if (header.isRenewing)
    throw new ElectionDeviceError(
      "ERR_HOLDFAST_RENEWAL_INTERRUPTED",
      `a renewal of ${device.url} was interrupted; nothing is lost, run renewElection again`,
      device.url,
    );
  return electionRegion(fsid, header);
}

/**
 * Starts the terms of a device afresh; tokens go on rising. Only when every process that ever took part is stopped, and no
 * write of it can be under way: this is not checked. Interrupted, it is to be run again, and loses nothing.
 *
 * @throws CorruptionError `ERR_HOLDFAST_RECORD_CORRUPT`: nothing was written.
 * @throws ElectionDeviceError `ERR_HOLDFAST_ELECTION_MISSING`, `ERR_HOLDFAST_ELECTION_TOO_SMALL`.
 */
export async function renewElection(ports: IoPorts): Promise<void> {
  const { device } = ports;
  const { fsid, header } = await findElection(device);
  const region = electionRegion(fsid, header);
  if (!header.isRenewing) await readRecordToRenew(region, ports);
  await writeHeader(device, fsid, { ...header, isRenewing: true });
  await renewQuorum(region, ports);
  await writeHeader(device, fsid, { ...header, generation: header.generation + 1, isRenewing: false });
}

async function findElection(device: BlockDevice): Promise<FoundElection> {
  const found = await readHeader(device);
  if (found === undefined)
    throw new ElectionDeviceError(
      "ERR_HOLDFAST_ELECTION_MISSING",
      `${device.url} holds no election; make one with formatElection`,
      device.url,
    );
  const { termsMax } = found.header;
  // Terms of which a part lies beyond its end would look damaged, and a candidate would use up one after the other.
  if (termsFor(device.sizeBytes) < termsMax)
    throw new ElectionDeviceError(
      "ERR_HOLDFAST_ELECTION_TOO_SMALL",
      `${device.url} has ${device.sizeBytes} bytes, its election of ${termsMax} terms needs more: it was cut short`,
      device.url,
    );
  return found;
}

async function readHeader(device: BlockDevice): Promise<FoundElection | undefined> {
  const bytes = new Uint8Array(ELECTION_HEADER_BLOCKS * BLOCK_BYTES);
  await device.read(0n, bytes);
  return readElectionHeader(
    Array.from({ length: ELECTION_HEADER_BLOCKS }, (_, index) =>
      bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES),
    ),
  );
}

async function writeHeader(device: BlockDevice, fsid: bigint, header: ElectionHeader): Promise<void> {
  for (const { address, block } of sealElectionHeader(fsid, header))
    await device.write(blockOffset(address), block, { isDurable: true });
}
