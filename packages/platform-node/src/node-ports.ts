import type { Clock, Cryptography, Logger, Random, Transport } from "@holdfast/environment";
import { nodeClock } from "./clock.ts";
import { nodeCryptography } from "./cryptography.ts";
import { processWarnings } from "./process-warnings.ts";
import { nodeRandom } from "./random.ts";
import { nodeTransport } from "./transport.ts";

/** The ports that most packages ask for, together. */
export interface NodePorts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly cryptography: Cryptography;
  readonly log: Logger;
}

/** The ports that most packages ask for; give `{ ...nodePorts, log }` to see all that happens. */
export const nodePorts: NodePorts = {
  transport: nodeTransport,
  clock: nodeClock,
  random: nodeRandom,
  cryptography: nodeCryptography,
  log: processWarnings,
};
