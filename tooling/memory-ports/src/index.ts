export * from "./manual-clock.ts";
export * from "./memory-network.ts";
export * from "./memory-session-ports.ts";
export * from "./seeded-random.ts";
