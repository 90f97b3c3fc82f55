import { createVolumeFile, openBlockDevice } from "@holdfast/block-device";
import { nodeRandom } from "@holdfast/platform-node";
import { formatElection } from "@holdfast/quorum";

const [path] = process.argv.slice(2);
await createVolumeFile(path, 4n * 1024n * 1024n);
const device = await openBlockDevice(path);
await formatElection({ device, random: nodeRandom });
await device.close();
