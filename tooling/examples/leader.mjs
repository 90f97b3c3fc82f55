import { openBlockDevice } from "@holdfast/block-device";
import { nodeClock as clock, nodeRandom as random } from "@holdfast/platform-node";
import { formatElection, lead } from "@holdfast/quorum";

const [path, isNew] = process.argv.slice(2);
const device = await openBlockDevice(path);
if (isNew) await formatElection({ device, random });
const leader = await lead({ device, clock, random });
process.on("SIGTERM", () => leader.resign());
console.log(`leading with token ${leader.token}`);
void leader.lost.then((error) => console.log(error ?? "resigned")).finally(() => process.exit());
for await (const work of process.stdin) {
  await leader.check(); // Behind the work, which sent the token along: throws if another one has taken over meanwhile.
  console.log(`done under token ${leader.token}: ${work}`);
}
