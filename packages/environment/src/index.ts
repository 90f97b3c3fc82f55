export * from "./fencing.ts";
export * from "./holdfast-error.ts";
export * from "./invariant.ts";
export * from "./ports.ts";
export * from "./units.ts";
export * from "./waiting.ts";
export { type Aborter, makeAborter, utf8, type Utf8 } from "./web-globals.ts";
