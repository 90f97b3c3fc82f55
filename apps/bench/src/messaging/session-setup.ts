/*
 * What both processes of the session measurement must agree on.
 */
import { SILENT_LOGGER } from "@holdfast/environment";
import type { SessionIdentity, startClientSession } from "@holdfast/net-reliable";
import { nodeClock, nodeCryptography, nodeRandom, nodeTransport } from "@holdfast/platform-node";

/** A volume that does not exist: sessions need only its names. */
export const IDENTITY: SessionIdentity = { fsid: 7n, formatHash: 7n, key: new Uint8Array(32).fill(7) };

/** The command that is echoed. */
export const ECHO_COMMAND = 1;

/** The drivers that a member has, too. */
export const SESSION_PORTS: Parameters<typeof startClientSession>[1] = {
  transport: nodeTransport,
  clock: nodeClock,
  random: nodeRandom,
  cryptography: nodeCryptography,
  log: SILENT_LOGGER,
};
