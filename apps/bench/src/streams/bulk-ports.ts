import { SILENT_LOGGER } from "@holdfast/environment";
import type { StreamPorts } from "@holdfast/net-reliable";
import { nodePorts } from "@holdfast/platform-node";

/** What streams need, as this machine has it. */
export const bulkPorts: StreamPorts = { ...nodePorts, log: SILENT_LOGGER };

/** The key of the measured streams. */
export const bulkIdentity: { readonly key: Uint8Array } = { key: new Uint8Array(32).fill(1) };

/** The one command: a body of three numbers orders that many bytes, in chunks of that length, summed or not. */
export const COMMAND_ORDER = 1;

/** The other one: takes the request's stream and answers when it has all. */
export const COMMAND_TAKE = 2;
