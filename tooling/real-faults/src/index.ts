export * from "./namespaces.ts";
export * from "./nbdkit.ts";
