export { Crew, CrewMember, type Place, placeOnLoopback, sharedNow } from "./crew.ts";
export { killLoop, type KillLoopOptions, type KillLoopResult } from "./kill-loop.ts";
export { Ledger } from "./ledger.ts";
export * from "./loop-devices.ts";
export type { Answer, Order } from "./member-protocol.ts";
export * from "./namespaces.ts";
export * from "./nbdkit.ts";
export { PATIENCE_MS, until } from "./until.ts";
