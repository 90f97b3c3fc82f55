export * from "./lock-errors.ts";
export * from "./lock-messages.ts";
export * from "./lock-mode.ts";
export * from "./lock-range.ts";
export * from "./range-index.ts";
export * from "./write-seq.ts";
