import { blockDeviceSuite, clockSuite, randomSuite, transportSuite } from "@holdfast/conformance";
import { SimulatedClock } from "../src/index.ts";
import { simulate } from "./simulated.ts";

const dispose = (): Promise<void> => Promise.resolve();

blockDeviceSuite("the simulated disk", () => {
  const { start, settle } = simulate();
  return { open: () => Promise.resolve(start("host").ports.device), settle, dispose };
});

clockSuite("the simulated clock", () => {
  const { start, settle, advance } = simulate();
  return { clock: new SimulatedClock(start("host").process, 0), advance, settle, dispose };
});

randomSuite("a random stream", () => {
  const { world, settle } = simulate();
  return { random: world.random("suite"), settle, dispose };
});

for (const isOneHost of [true, false]) {
  transportSuite(`the simulated network ${isOneHost ? "inside one host" : "between two hosts"}`, () => {
    const { start, settle } = simulate();
    return {
      server: start("alpha").ports.transport,
      client: start(isOneHost ? "alpha" : "beta").ports.transport,
      listenAddress: () => "sim://alpha:0",
      deadAddress: "sim://alpha:9",
      malformedAddresses: ["", "alpha:1", "sim://alpha", "sim://alpha:x", "sim://alpha:70000", "tcp://a:1"],
      settle,
      dispose,
    };
  });
}
