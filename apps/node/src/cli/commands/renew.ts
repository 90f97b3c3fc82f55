/*
 * `holdfast renew`: starts the term slots afresh, which also is the way on when they are used up.
 */
import { openFenceAgent } from "../../open-fence-agent.ts";
import { renewTerms } from "../../renew-terms.ts";
import { hex, print, printWarning } from "../output.ts";

/** What is to be renewed. */
export interface RenewCommand {
  readonly url: string;
  /** Members that can never write again, by the operator's word. */
  readonly fenced: ReadonlySet<bigint>;
  /** Executable that is asked about the others. */
  readonly fenceAgent: string | undefined;
  readonly isJson: boolean;
}

/** Renews the term slots. */
export async function runRenew({ url, fenced, fenceAgent, isJson }: RenewCommand): Promise<void> {
  const agent = fenceAgent === undefined ? undefined : await openFenceAgent(fenceAgent);
  const { fsid, generation, firstTerm, lastTerm, wasResumed, strangers } = await renewTerms(url, {
    fenced,
    ...(agent === undefined ? {} : { fenceAgent: agent }),
  });
  if (strangers.length > 0)
    printWarning(isJson, `given as fenced, but unknown to the volume: ${strangers.map(hex).join(", ")}`);
  const resumed = wasResumed ? ", going on where an earlier renewal was interrupted" : "";
  await print(
    isJson,
    {
      url,
      fsid,
      generation,
      firstTerm: Number(firstTerm),
      lastTerm: Number(lastTerm),
      wasResumed,
      strangers,
    },
    [
      `renewed the terms of volume ${hex(fsid)} for the ${ordinal(generation)} time${resumed}: ${firstTerm} to ${lastTerm}`,
    ],
  );
}

function ordinal(count: number): string {
  const suffixes = ["th", "st", "nd", "rd"];
  const isTeen = count % 100 > 10 && count % 100 < 14;
  return `${count}${(isTeen ? undefined : suffixes[count % 10]) ?? "th"}`;
}
