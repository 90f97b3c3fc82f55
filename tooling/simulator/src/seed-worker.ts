/*
 * One process of several that run seeds: runs what it is told and answers with what it came to.
 */
import { MemberCluster } from "./scenario/cluster-member.ts";
import { parseSimulateArguments } from "./scenario/command-line.ts";
import { runSeed } from "./scenario/run-seeds.ts";
import type { SeedOrder } from "./scenario/seed-pool.ts";

const parsed = parseSimulateArguments(process.argv.slice(2));

process.on("message", (message) => {
  // The other end of this channel is seed-pool.ts, which sends nothing else.
  void answer(message as SeedOrder);
});

async function answer({ seed, isTwice, isHistoryWanted }: SeedOrder): Promise<void> {
  const options = { arguments: parsed, makeCluster: () => new MemberCluster(), onLog: undefined };
  const run = await runSeed(seed, options, isTwice);
  const isHistoryNeeded = isHistoryWanted || run.violations.length > 0;
  process.send?.(isHistoryNeeded ? run : { ...run, history: undefined, tail: [] });
}
