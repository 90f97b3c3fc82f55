/*
 * A member in a process of its own. Opened first, it is the server. On request it writes one key.
 */
import { openVolume } from "holdfast";
import { parentGone, say } from "../child.ts";

/** How long closing the volume may take. */
const CLOSE_MS = 10_000;

const [url = ""] = process.argv.slice(2);
const volume = await openVolume(url);
const dataset = await volume.dataset();
let writes = 0;
process.on("message", (key) => {
  writes += 1;
  dataset.put(String(key), String(writes)).then(
    () => say("written"),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
say("ready");
await parentGone();
// Closing waits for a server as long as it takes; a process without a parent must not.
setTimeout(() => process.exit(1), CLOSE_MS).unref();
await volume.close();
process.exit();
