/*
 * The durable sign that a member may go: its record is gone (architecture 7; reference: scoutfs F6, F12).
 *
 * The server's answer to a farewell may be lost with the server, and the last voters may leave before another one is
 * elected. What the answer would have said stands on the volume. The record is taken for committed only if nobody has
 * announced a later term once it was read: whoever does so afterwards reads it too.
 */
import { BTree } from "@holdfast/btree";
import type { BlockDevice, Clock } from "@holdfast/environment";
import { type QuorumRegion, readNewestRecord, readTermStatus } from "@holdfast/quorum";
import { BlockError } from "@holdfast/wire-format";
import { MemberRecords } from "../server/member-records.ts";
import { NodeStore } from "../volume/node-store.ts";
import { VolumeState } from "../volume/volume-state.ts";

/** Who looks, and where. */
export interface FarewellSignOptions {
  readonly device: BlockDevice;
  readonly clock: Clock;
  readonly region: QuorumRegion;
  readonly rid: bigint;
}

/**
 * True if the volume says that this member is none any more; false also when that cannot be seen now.
 *
 * @param fromTerm - A term known to have been used.
 * @throws {@link DeviceError} when the device cannot be read.
 */
export async function isForgotten(options: FarewellSignOptions, fromTerm: bigint): Promise<boolean> {
  const { device, clock, region, rid } = options;
  const record = await readNewestRecord(region, { device, clock }, fromTerm);
  if (record === undefined) return false;
  const { membersRoot } = VolumeState.decode(record.payload);
  try {
    const tree = new BTree(membersRoot, new NodeStore(device, region.fsid));
    if ((await new MemberRecords(tree).get(rid)) !== undefined) return false;
  } catch (error) {
    // Its blocks were used again: there are newer records.
    if (error instanceof BlockError) return false;
    throw error;
  }
  const { isSuperseded } = await readTermStatus(region, { device, clock }, record.term);
  return !isSuperseded;
}
