export { nodeClock } from "./clock.ts";
export { nodeCryptography } from "./cryptography.ts";
export { nodeRandom } from "./random.ts";
export { nodeTransport } from "./transport.ts";
