import {
  type Cryptography,
  type Logger,
  type Random,
  SILENT_LOGGER,
  type Transport,
} from "@holdfast/environment";
import { createHmac } from "node:crypto";
import { ManualClock } from "./manual-clock.ts";
import { MemoryNetwork } from "./memory-network.ts";
import { SeededRandom } from "./seeded-random.ts";

/** What sessions need of the world: one network, one clock and the same random numbers in every run. */
export class MemorySessionPorts {
  readonly clock: ManualClock = new ManualClock();
  readonly network: MemoryNetwork = new MemoryNetwork(this.clock);
  readonly transport: Transport = this.network;
  readonly random: Random = new SeededRandom(1);
  readonly cryptography: Cryptography = {
    hmacSha256: (key, message) => createHmac("sha256", key).update(message).digest(),
  };
  readonly log: Logger = SILENT_LOGGER;
}
