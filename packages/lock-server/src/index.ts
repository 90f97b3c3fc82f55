export type { Claim } from "./lock-entry.ts";
export * from "./lock-server.ts";
