import { randomSuite, settleByWaiting } from "@holdfast/conformance";
import { nodeRandom } from "../src/index.ts";

randomSuite("the system's source", () => ({
  random: nodeRandom,
  settle: settleByWaiting,
  dispose: async () => {},
}));
