/*
 * `holdfast tune`: changes how many voters must agree before one campaigns.
 *
 * Votes are policy, not safety: who is elected is decided by the term slots alone. So where nobody serves, since too few voters
 * are there, this command may elect itself with one vote, change the number, and leave.
 */
import { openBlockDevice } from "@holdfast/block-device";
import { blockOffset } from "@holdfast/environment";
import { layoutFor, livingVoters, quorumRegionOf, type SuperBlock } from "@holdfast/member";
import { nodeClock } from "@holdfast/platform-node";
import { superOf } from "../../super-of.ts";
import { print } from "../output.ts";
import { type ReachOptions, withAccess } from "../reach.ts";

/** What is to be changed. */
export interface TuneCommand {
  readonly url: string;
  readonly votes: number;
  /** Also if fewer voters than that are members. */
  readonly isForced: boolean;
  /** Takes the server's place although voters are there: they are too few to elect one. */
  readonly isOffline: boolean;
  readonly isJson: boolean;
}

/** Changes the number of votes. */
export async function runTune(command: TuneCommand, reach: ReachOptions): Promise<void> {
  const { url, votes, isForced, isOffline, isJson } = command;
  const { superBlock } = await superOf(url);
  const isAlone = isOffline || (await isDeserted(url, superBlock));
  const options = isAlone ? { ...reach, campaignVotes: 1 } : reach;
  await withAccess(url, options, async (access) => {
    // Whoever is alone is the only voter, and knows it.
    await access.tune({ votes, isForced: isForced || isAlone });
    const text = `${votes} ${votes === 1 ? "voter" : "voters"} must agree from now on before one campaigns`;
    await print(isJson, { url, votes, via: access.via }, [text]);
  });
}

/** True if no voter's hints change. */
async function isDeserted(url: string, superBlock: SuperBlock): Promise<boolean> {
  const device = await openBlockDevice(url, { isReadOnly: true });
  try {
    const layout = layoutFor(blockOffset(superBlock.blockCount), superBlock.termsMax);
    const voters = await livingVoters(quorumRegionOf(superBlock, layout), { device, clock: nodeClock });
    return voters.length === 0;
  } finally {
    await device.close();
  }
}
