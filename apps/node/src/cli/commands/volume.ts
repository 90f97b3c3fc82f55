/*
 * Commands on the volume as a whole: mkfs, status, datasets.
 */
import type { MemberStatus, StatusReply } from "@holdfast/member";
import { defaultName } from "../../open-volume.ts";
import { makeVolume } from "../../make-volume.ts";
import { hex, print } from "../output.ts";
import { startProgress } from "../progress.ts";
import { type ReachOptions, withAccess } from "../reach.ts";
import { formatSize } from "../size.ts";
import { quarantineDocument, quarantineLines } from "./fence.ts";

/** What `mkfs` is to make. */
export interface MkfsCommand {
  readonly url: string;
  readonly sizeBytes: bigint | undefined;
  readonly label: string;
  readonly votes: number;
  readonly isForced: boolean;
  readonly isJson: boolean;
}

/** Formats a file or a device. */
export async function runMkfs({
  url,
  sizeBytes,
  label,
  votes,
  isForced,
  isJson,
}: MkfsCommand): Promise<void> {
  const progress = startProgress("mkfs", false);
  try {
    const made = await makeVolume(url, {
      ...(sizeBytes === undefined ? {} : { sizeBytes }),
      label,
      votes,
      isForced,
      onProgress: (share) => progress.update(Math.round(share * 100), 100),
    });
    progress.stop();
    const bytes = made.blockCount * 4096n;
    await print(
      isJson,
      { url, fsid: made.fsid, label, votes, sizeBytes: Number(bytes), terms: made.termsMax },
      [
        `made volume ${hex(made.fsid)} on ${url}: ${formatSize(bytes)}, ${made.termsMax} terms, ${votes} ${votes === 1 ? "vote" : "votes"}`,
      ],
    );
  } finally {
    progress.stop();
  }
}

/** Prints what the server says of the volume. */
export async function runStatus(url: string, isJson: boolean, reach: ReachOptions): Promise<void> {
  await withAccess(url, reach, async (access, _signal, { fsid, label }) => {
    const status = await access.status();
    const server = status.members.find(({ rid }) => rid === status.server);
    await print(isJson, { url, fsid, label, ...numbers(status), via: access.via }, [
      `volume    ${hex(fsid)}${label === "" ? "" : ` "${label}"`} on ${url}`,
      `server    ${hex(status.server)} ${server?.name ?? ""} since term ${status.term}${isOwn(server) ? OWN : ""}`,
      `terms     ${termsText(status)}`,
      `votes     ${votesText(status)}`,
      `space     ${sizeOf(status.freeBlocks)} free of ${sizeOf(status.totalBlocks)}, ${sizeOf(status.quarantinedBlocks)} in quarantine`,
      ...(status.quarantinedBlocks === 0n ? [] : quarantineLines(status)),
      `segments  ${status.levels.map((count, level) => `level ${level}: ${count}`).join(", ") || "none"}`,
      `members   ${status.members.length}`,
      ...status.members.map(
        (member) =>
          `  ${hex(member.rid)}  ${member.name}${member.isVoter ? "" : ", no voter"}${stateOf(member)}`,
      ),
    ]);
  });
}

/** A command that elects itself uses up a term each time. */
const OWN = ', this command itself, since nobody else serves: keep a member running ("holdfast run")';

function isOwn(server: { readonly name: string } | undefined): boolean {
  return server?.name === defaultName();
}

/** Creates a dataset. */
export function runDatasetCreate(
  url: string,
  name: string,
  isJson: boolean,
  reach: ReachOptions,
): Promise<void> {
  return withAccess(url, reach, async (access) => {
    await access.createDataset(name);
    await print(isJson, { dataset: name }, [`created dataset "${name}"`]);
  });
}

/** Lists datasets. */
export function runDatasetList(url: string, isJson: boolean, reach: ReachOptions): Promise<void> {
  return withAccess(url, reach, async (access) => {
    const datasets = await access.datasets();
    await print(isJson, { datasets }, datasets);
  });
}

/** How far the terms are used up; from half of them on, what to do. */
function termsText({
  termsUsed,
  termsMax,
}: {
  readonly termsUsed: number;
  readonly termsMax: number;
}): string {
  const advice = 2 * termsUsed < termsMax ? "" : '; plan a pause for "holdfast renew"';
  return `${termsUsed} of ${termsMax} used (${Math.floor((100 * termsUsed) / termsMax)} %)${advice}`;
}

function stateOf({ isEvicted, isConnected }: MemberStatus): string {
  if (isEvicted) return ", evicted: its locks wait until its journal is replayed";
  return isConnected ? "" : ", not connected";
}

/** How many must agree, and whether so many are there. */
function votesText({ votes, members }: Pick<StatusReply, "votes" | "members">): string {
  const voters = members.filter(({ isVoter, isConnected }) => isVoter && isConnected).length;
  if (voters >= votes) return String(votes);
  return `${votes}, and ${voters === 1 ? "1 voter is" : `${voters} voters are`} connected: when this server ends, nobody follows; start more members`;
}

function sizeOf(blocks: bigint): string {
  return formatSize(blocks * 4096n);
}

/** Counts as numbers; identities stay bigint and are printed as hexadecimal. */
function numbers(status: StatusReply): object {
  return {
    ...status,
    term: Number(status.term),
    freeBlocks: Number(status.freeBlocks),
    quarantinedBlocks: Number(status.quarantinedBlocks),
    quarantine: quarantineDocument(status),
    totalBlocks: Number(status.totalBlocks),
    manifestVersion: Number(status.manifestVersion),
  };
}
