export * from "./events.ts";
export * from "./lock-client.ts";
export type { LockState } from "./lock-state.ts";
