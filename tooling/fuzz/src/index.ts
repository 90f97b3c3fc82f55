export * from "./fuzz-pool.ts";
export * from "./fuzz-run.ts";
export * from "./mutator.ts";
export * from "./target.ts";
export { makeTargets } from "./targets/all.ts";
