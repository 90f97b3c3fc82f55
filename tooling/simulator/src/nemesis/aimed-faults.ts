/*
 * Faults that wait for one tender moment of the protocol; see ambush.ts.
 */
import { Ambush } from "./ambush.ts";
import type { AimedFault } from "../plan/fault-kinds.ts";
import type { FaultHandler, Field, Strike } from "./field.ts";

/** Longer than a server waits for a silent member (2 s) or for one that should report its locks (1 s). */
const EVICTION_MS = 3000;

/** Long enough that another server is elected meanwhile. */
const CUT_OFF_MIN_MS = 700;

/** Handlers of aimed faults. */
export const AIMED_HANDLERS: Readonly<Record<AimedFault, FaultHandler>> = {
  "hold-member": (field, strike) => {
    const { victim, fault } = strike;
    ambush(field, strike).cutOffAtWrite(victim, () => field.cutOff(victim, EVICTION_MS + fault.lastsMs / 8));
  },
  "cut-off-server": async (field, { victim, fault }) => {
    field.cutOff(await field.server(victim), CUT_OFF_MIN_MS + fault.lastsMs / 2);
  },
  "race-election": async (field, strike) => {
    ambush(field, strike).delayClaim();
    field.crash(await field.server(strike.victim), strike.fault, true);
  },
  "outlast-lease": (field, { victim, fault }) => {
    if (field.isOutlasting) return;
    field.isOutlasting = true;
    const lastsMs = EVICTION_MS + fault.lastsMs / 8;
    field.isolate(victim, lastsMs);
    // Its connections fall silent, or (three times in four) end at once: then its server misses it while its lease is young.
    if ((fault.choice & 0x300) !== 0) {
      for (const other of field.others(victim)) {
        field.network.cut(victim.name, other);
        field.network.cut(other, victim.name);
      }
    }
    field.later(lastsMs, () => {
      field.isOutlasting = false;
    });
  },
  "stumbling-election": async (field, strike) => {
    const server = await field.server(strike.victim);
    field.isolate(server, EVICTION_MS + strike.fault.lastsMs / 5);
    ambush(field, strike).killClaimant(server);
  },
  "crash-at-write": (field, strike) => lieInWait(field, strike, "crash-at-write"),
  "pause-at-write": (field, strike) => lieInWait(field, strike, "pause-at-write"),
  "power-loss-at-write": (field, strike) => lieInWait(field, strike, "power-loss-at-write"),
};

function ambush(field: Field, { random }: Strike): Ambush {
  return new Ambush(field, random);
}

async function lieInWait(
  field: Field,
  strike: Strike,
  kind: "crash-at-write" | "pause-at-write" | "power-loss-at-write",
): Promise<void> {
  const { victim, fault } = strike;
  const isElection = ambush(field, strike).lieInWait({ ...fault, kind });
  if (isElection) field.crash(await field.server(victim), fault);
}
