export { nodeClock } from "./clock.ts";
export { nodeCryptography } from "./cryptography.ts";
export { nodeRandom } from "./random.ts";
export { createNodeTransport, nodeTransport } from "./transport.ts";
export type { NodeTransport, NodeTransportOptions, NodeTransportStats } from "./transport.ts";
