/*
 * Renewal of the term slots, off line: what `holdfast renew` does.
 *
 * Nothing here is safe beside a process that may still write to the slots: a late write of it would fall on blocks of the new
 * generation. So it is refused while a voter is alive, and while somebody is recorded whose end is not confirmed. Silence
 * confirms nothing: evidence is what the volume already holds, a process of this host that is gone, the fence agent's word,
 * or the operator's.
 *
 * The super block says first that a renewal is under way, and whose, then that it is done; in between nobody opens the volume. When it
 * begins, the first copy goes first, since it is the one that is read; when it is done, that copy goes last: as long as it
 * says "under way", the renewal runs again, which changes nothing that was done.
 */
import { BTree } from "@holdfast/btree";
import {
  type BlockDevice,
  blockOffset,
  type Clock,
  type FenceAgent,
  type FenceTarget,
  HoldfastError,
  type Processes,
} from "@holdfast/environment";
import {
  type CommitRecord,
  lastTerm,
  nextGeneration,
  type QuorumRegion,
  readRecordToRenew,
  renewQuorum,
} from "@holdfast/quorum";
import { VOLUME_FORMAT_HASH } from "../formats.ts";
import { MemberRecords } from "../server/member-records.ts";
import { layoutFor } from "./layout.ts";
import { livingVoters } from "./living-voters.ts";
import { NodeStore } from "./node-store.ts";
import { isProvenGone, ownProcess, type ProcessRecord } from "./process-record.ts";
import { quorumRegionOf } from "./quorum-region.ts";
import { sizesFor } from "./sizes.ts";
import { readSuperToRenew, sealSuper, type SuperBlock } from "./super-block.ts";
import { withSpares } from "./spares.ts";
import { VolumeState } from "./volume-state.ts";

/** Who renews, and what is known of the others. */
export interface RenewOptions {
  /** The volume; nobody else on this host should have it open. */
  readonly device: BlockDevice;
  readonly clock: Clock;
  /** Who renews: random, not 0, new each time. */
  readonly rid: bigint;
  /** Knows of processes of this host. */
  readonly processes?: Processes;
  /** Is asked about whom nothing else is known. */
  readonly fenceAgent?: FenceAgent;
  /** Members of which the operator says that they can never write again. */
  readonly fenced: ReadonlySet<bigint>;
  /** Gives up asking the agent. */
  readonly signal: AbortSignal;
}

/** What a renewal has done. */
export interface RenewReport {
  readonly fsid: bigint;
  readonly generation: number;
  /** The terms there are now: the first is taken. */
  readonly firstTerm: bigint;
  readonly lastTerm: bigint;
  /** True if an earlier one had been interrupted. */
  readonly wasResumed: boolean;
  /** Whom the caller gave as fenced, and the volume knows nothing of; empty if an earlier renewal went on: it knew them. */
  readonly strangers: readonly bigint[];
}

/** Somebody who may still write to the term slots. */
export interface Suspect {
  readonly rid: bigint;
  /** For people. */
  readonly name: string;
  readonly address: string;
  readonly process: ProcessRecord;
}

/** The term slots cannot be renewed now. */
export class RenewRefusedError extends HoldfastError<
  "ERR_HOLDFAST_RENEW_REFUSED",
  { readonly members: string }
> {
  /** Who stands in the way. */
  readonly suspects: readonly Suspect[];

  /** @param strangers - Given as fenced, and unknown to the volume: mostly mistyped. */
  constructor(suspects: readonly Suspect[], why: "alive" | "unconfirmed", strangers: readonly bigint[] = []) {
    const members = suspects
      .map(({ rid, name }) => `${hex(rid)}${name === "" ? "" : ` (${name})`}`)
      .join(", ");
    const remedy =
      why === "alive"
        ? "alive and voting: stop every member, then try again"
        : 'not confirmed dead: make sure that each can never write to the device again, then try again with "--fenced RID" for each';
    const unknown =
      strangers.length === 0
        ? ""
        : `; unknown to the volume, but given as fenced: ${strangers.map(hex).join(", ")}`;
    super(
      "ERR_HOLDFAST_RENEW_REFUSED",
      "conflict",
      `the terms cannot be renewed while these are ${remedy}: ${members}${unknown}`,
      {
        members,
      },
    );
    this.suspects = suspects;
  }
}

/**
 * Starts the term slots of a volume afresh. Terms go on rising.
 *
 * @throws {@link RenewRefusedError} `ERR_HOLDFAST_RENEW_REFUSED`; nothing was written then.
 * @throws {@link CorruptionError} `ERR_HOLDFAST_RECORD_CORRUPT` when the newest record is damaged.
 * @throws {@link VolumeError} when it is no volume; {@link DeviceError}: run it again.
 */
export async function renewVolume(options: RenewOptions): Promise<RenewReport> {
  const { device, clock, rid, processes } = options;
  const { superBlock } = await readSuperToRenew(device, VOLUME_FORMAT_HASH);
  const layout = layoutFor(blockOffset(superBlock.blockCount), superBlock.termsMax);
  const region = quorumRegionOf(superBlock, layout);
  const voters = await livingVoters(region, { device, clock });
  if (voters.length > 0) throw new RenewRefusedError(voters.map(asSuspect), "alive");
  const { possible, confirmed } = superBlock.isRenewing
    ? { possible: [formerRenewer(superBlock)], confirmed: options.fenced }
    : await suspectsOf(await readRecordToRenew(region, { device, clock }), device, region);
  const known = new Set([...confirmed, ...possible.map((suspect) => suspect.rid)]);
  const strangers = [...options.fenced].filter((fenced) => !known.has(fenced));
  const suspects = await unconfirmed(possible, options);
  if (suspects.length > 0) throw new RenewRefusedError(suspects, "unconfirmed", strangers);
  const renewing = { ...superBlock, renewer: rid, renewerProcess: ownProcess(processes, device) };
  await writeSupers(device, { ...renewing, isRenewing: true }, "first-copy-first");
  const { grantBlocks } = sizesFor(layout.dataCount);
  await renewQuorum(region, { device, clock }, (payload) =>
    withSpares(payload, { nodes: new NodeStore(device, region.fsid), grantBlocks }),
  );
  const { generation, termBase } = nextGeneration(region);
  await writeSupers(device, { ...renewing, generation, termBase, isRenewing: false }, "first-copy-last");
  return {
    fsid: superBlock.fsid,
    generation,
    firstTerm: termBase + 1n,
    lastTerm: lastTerm(nextGeneration(region)),
    wasResumed: superBlock.isRenewing,
    strangers,
  };
}

/** Who began and did not end: a late write of it would fall on what stands then, like that of any other. */
function formerRenewer({ renewer, renewerProcess }: SuperBlock): Suspect {
  return { rid: renewer, name: "an interrupted renewal", address: "", process: renewerProcess };
}

/** Everybody of whom the volume does not say that he is gone, and those of whom it does. */
async function suspectsOf(
  record: CommitRecord,
  device: BlockDevice,
  region: QuorumRegion,
): Promise<{ readonly possible: readonly Suspect[]; readonly confirmed: ReadonlySet<bigint> }> {
  const state = VolumeState.decode(record.payload);
  const members = new MemberRecords(new BTree(state.membersRoot, new NodeStore(device, region.fsid)));
  const suspects = new Map<bigint, Suspect>();
  const confirmed = new Set<bigint>();
  for (const [rid, { name, address, process }] of await members.list())
    suspects.set(rid, { rid, name, address, process });
  for (const [rid, { name, address, process, evidence }] of await members.owners()) {
    if (evidence.kind === "none") suspects.set(rid, { rid, name, address, process });
    else confirmed.add(rid);
  }
  // Servers that no member record tells of: they died before their own member had joined.
  const servers = state.orphans.filter(({ isDrained }) => !isDrained).map(({ owner }) => owner);
  if (!state.isResigned) servers.push(record.writer);
  for (const rid of servers) {
    if (suspects.has(rid) || confirmed.has(rid)) continue;
    const { process, address } =
      rid === record.writer ? { process: state.server, address: record.address } : { ...NOBODY_KNOWN };
    suspects.set(rid, { rid, name: "", address, process });
  }
  return { possible: [...suspects.values()], confirmed };
}

/** Those of whom nothing confirms that they can never write again. */
async function unconfirmed(
  suspects: readonly Suspect[],
  { device, processes, fenceAgent, fenced, signal }: RenewOptions,
): Promise<readonly Suspect[]> {
  const judge = ownProcess(processes, device);
  const left: Suspect[] = [];
  for (const suspect of suspects) {
    const { rid, address, process } = suspect;
    if (fenced.has(rid) || (await isProvenGone(processes, judge, process))) continue;
    const target = { rid, address, process, reason: "the term slots are to be renewed" };
    if (fenceAgent === undefined || !(await isFenced(fenceAgent, target, signal))) left.push(suspect);
  }
  return left;
}

async function isFenced(agent: FenceAgent, target: FenceTarget, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  const { answer, cancel } = agent.fence(target);
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const { rid, isConfirmed } = await answer;
    return isConfirmed && rid === target.rid;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** Writes both copies, each durable before the other. */
async function writeSupers(
  device: BlockDevice,
  superBlock: SuperBlock,
  order: "first-copy-first" | "first-copy-last",
): Promise<void> {
  const copies = sealSuper(superBlock);
  for (const { address, block } of order === "first-copy-first" ? copies : copies.toReversed())
    await device.write(blockOffset(address), block, { isDurable: true });
}

function asSuspect({ rid, address }: { readonly rid: bigint; readonly address: string }): Suspect {
  return { rid, name: "", address, process: NOBODY_KNOWN.process };
}

const NOBODY_KNOWN: { readonly process: ProcessRecord; readonly address: string } = {
  process: ownProcess(undefined, { isLocal: false }),
  address: "",
};

function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}
