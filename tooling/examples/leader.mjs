import { openBlockDevice } from "@holdfast/block-device";
import { nodeClock, nodeRandom } from "@holdfast/platform-node";
import { lead } from "@holdfast/quorum";

const device = await openBlockDevice(process.argv[2]);
const leader = await lead({ device, clock: nodeClock, random: nodeRandom });

void leader.lost.then((error) => console.log(error === undefined ? "resigned" : `lost: ${error.code}`));
process.on("SIGTERM", () => leader.resign());
process.stdin.on("data", async () => {
  // Do the work here, and send the token along: whoever gets it refuses a token smaller than the greatest it has seen.
  await leader.check().then(
    () => console.log("still leading"),
    (error) => console.log(`refused: ${error.code}`),
  );
});
console.log(`leading with token ${leader.token}`);
