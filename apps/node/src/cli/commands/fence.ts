/*
 * `holdfast fence`: lists what is in quarantine, and takes an operator's word that a member can never write again.
 */
import { hostname, userInfo } from "node:os";
import type { QuarantineStatus, StatusReply } from "@holdfast/member";
import { UsageError } from "../exit-codes.ts";
import { hex, print } from "../output.ts";
import { type ReachOptions, withAccess } from "../reach.ts";
import { formatSize } from "../size.ts";

/** What is to be fenced. */
export interface FenceCommand {
  readonly url: string;
  /** As `status` prints it; undefined lists. */
  readonly rid: string | undefined;
  /** The operator has read what he promises. */
  readonly isConfirmed: boolean;
  /** Also if the member is connected. */
  readonly isForced: boolean;
  readonly isJson: boolean;
}

/** Lists the quarantine, or fences a member. */
export function runFence(command: FenceCommand, reach: ReachOptions): Promise<void> {
  return command.rid === undefined ? list(command, reach) : fence(command, parseRid(command.rid), reach);
}

/** Longest name that a record keeps. */
const OPERATOR_LENGTH_MAX = 100;

function list({ url, isJson }: FenceCommand, reach: ReachOptions): Promise<void> {
  return withAccess(url, reach, async (access) => {
    const status = await access.status();
    const { quarantinedBlocks, isQuarantineAlarming } = status;
    await print(
      isJson,
      {
        url,
        quarantinedBlocks: Number(quarantinedBlocks),
        isQuarantineAlarming,
        quarantine: quarantineDocument(status),
      },
      quarantineLines(status),
    );
  });
}

function fence(
  { url, isConfirmed, isForced, isJson }: FenceCommand,
  rid: bigint,
  reach: ReachOptions,
): Promise<void> {
  if (!isConfirmed) throw new UsageError(promiseOf(rid));
  return withAccess(url, reach, async (access) => {
    const { blocks, wasMember } = await access.fence({ rid, isForced, operator: operator() });
    const size = formatSize(BigInt(blocks) * 4096n);
    const evicted = wasMember ? "evicted it; " : "";
    await print(isJson, { url, rid, blocks, wasMember, via: access.via }, [
      `fenced ${hex(rid)}: ${evicted}${size} came back`,
    ]);
  });
}

/** The owners of blocks in quarantine, with numbers as numbers. */
export function quarantineDocument({ quarantine }: Pick<StatusReply, "quarantine">): readonly object[] {
  return quarantine.map((owner) => ({ ...owner, sinceMs: Number(owner.sinceMs) }));
}

/** One line for each owner of blocks in quarantine. */
export function quarantineLines(status: StatusReply): readonly string[] {
  const { quarantine, quarantinedBlocks, totalBlocks, isQuarantineAlarming } = status;
  if (quarantinedBlocks === 0n) return ["quarantine  empty"];
  const sum = `${sizeOf(quarantinedBlocks)} of ${sizeOf(totalBlocks)}`;
  const alarm = isQuarantineAlarming ? ": more than a tenth, fence dead members" : "";
  return [`quarantine  ${sum}${alarm}`, ...quarantine.map(ownerLine)];
}

function ownerLine(owner: QuarantineStatus): string {
  const { rid, blocks, name, isMember, evidence, problem, sinceMs } = owner;
  const since = sinceMs === 0n ? "" : `, gone since ${new Date(Number(sinceMs)).toISOString()}`;
  const state = isMember
    ? "a member still"
    : evidence === "none"
      ? "not confirmed dead"
      : `confirmed by ${evidence}`;
  const agent = problem === "" ? "" : `; the fence agent: ${problem}`;
  return `  ${hex(rid)}  ${sizeOf(BigInt(blocks))}  ${name || "nobody knows who"}${since}, ${state}${agent}`;
}

function promiseOf(rid: bigint): string {
  return (
    `by fencing ${hex(rid)} you promise that it can never write to this volume again: its process has ended, or its host is off or ` +
    "cut off from the device, and nothing that it wrote is on its way any more. If that is wrong, data will be destroyed. " +
    "Nothing was done; add --yes to promise it"
  );
}

function parseRid(text: string): bigint {
  if (!/^(0x)?[0-9a-f]{1,16}$/i.test(text))
    throw new UsageError(
      `"${text}" is no member: give the 16 hexadecimal digits that "holdfast status" prints`,
    );
  return BigInt(text.startsWith("0x") ? text : `0x${text}`);
}

function operator(): string {
  let user = "somebody";
  try {
    user = userInfo().username;
  } catch {
    // A user id without a name: containers have them.
  }
  return `${user}@${hostname()}`.slice(0, OPERATOR_LENGTH_MAX);
}

function sizeOf(blocks: bigint): string {
  return formatSize(blocks * 4096n);
}
