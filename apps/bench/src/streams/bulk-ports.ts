import { SILENT_LOGGER } from "@holdfast/environment";
import type { StreamPorts } from "@holdfast/net-reliable";
import { nodePorts } from "@holdfast/platform-node";

/** What streams need, as this machine has it. */
export const bulkPorts: StreamPorts = { ...nodePorts, log: SILENT_LOGGER };

/** The key of the measured streams. */
export const bulkIdentity: { readonly key: Uint8Array } = { key: new Uint8Array(32).fill(1) };

/** What the one command orders. */
export interface Order {
  readonly totalBytes: number;
  readonly chunkBytes: number;
  readonly isSummed: boolean;
  /** True if the chunks lie where they are summed up. */
  readonly isInPlace: boolean;
}

/** The one command: its body is an order. */
export const COMMAND_ORDER = 1;

/** The body of an order. */
export function orderBody({ totalBytes, chunkBytes, isSummed, isInPlace }: Order): Uint8Array {
  return new Uint8Array(Float64Array.of(totalBytes, chunkBytes, Number(isSummed), Number(isInPlace)).buffer);
}

/** The order that a body has. */
export function orderOf(body: Uint8Array): Order {
  const [totalBytes = 0, chunkBytes = 0, isSummed, isInPlace] = new Float64Array(body.slice().buffer);
  return { totalBytes, chunkBytes, isSummed: isSummed === 1, isInPlace: isInPlace === 1 };
}

/** The other one: takes the request's stream and answers when it has all. */
export const COMMAND_TAKE = 2;
