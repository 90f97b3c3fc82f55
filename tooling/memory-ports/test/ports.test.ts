import { clockSuite, randomSuite, settleByWaiting } from "@holdfast/conformance";
import { ManualClock, SeededRandom } from "../src/index.ts";

const dispose = (): Promise<void> => Promise.resolve();

clockSuite("the clock that a test moves", () => {
  const clock = new ManualClock();
  return { clock, advance: (ms) => clock.advance(ms), settle: settleByWaiting, dispose };
});

randomSuite("the seeded random numbers", () => ({
  random: new SeededRandom(7),
  settle: settleByWaiting,
  dispose,
}));
