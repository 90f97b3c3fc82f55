/*
 * A member that has opened a volume and does nothing: `idle-member-process URL`. Opened first, it serves.
 */
import { openVolume } from "holdfast";
import { parentGone, say } from "../child.ts";
import { tellIdleCosts } from "./idle-costs.ts";

const [url = ""] = process.argv.slice(2);
tellIdleCosts();
const volume = await openVolume(url);
await volume.dataset();
say("ready");
await parentGone();
// Closing waits for a server as long as it takes; here nothing is worth that.
process.exit();
