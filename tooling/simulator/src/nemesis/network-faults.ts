/*
 * Faults of links.
 */
import type { Host } from "../scenario/fleet.ts";
import type { NetworkFault } from "../plan/fault-kinds.ts";
import type { FaultHandler, Field } from "./field.ts";

/** A flapping link changes so often in its time. */
const FLAPS_MIN = 4;
const FLAPS_MAX = 30;

/** Handlers of faults of links. */
export const NETWORK_HANDLERS: Readonly<Record<NetworkFault, FaultHandler>> = {
  "isolate-server": async (field, { victim, fault }) =>
    field.isolate(await field.server(victim), fault.lastsMs),
  "one-way": (field, { victim, fault }) => {
    for (const other of field.others(victim)) field.network.block(victim.name, other);
    field.later(fault.lastsMs, () => field.unblock(victim));
  },
  "one-way-in": (field, { victim, fault }) => {
    for (const other of field.others(victim)) field.network.block(other, victim.name);
    field.later(fault.lastsMs, () => field.unblock(victim));
  },
  halves: (field, { fault }) => separate(field, halvesOf(field, fault.choice), fault.lastsMs),
  bridge: (field, { victim, fault }) => {
    const sides = halvesOf(field, fault.choice >>> 8).map((side) =>
      side.filter((name) => name !== victim.name),
    );
    separate(field, sides, fault.lastsMs);
  },
  ring: (field, { fault }) => {
    const { names, network } = field;
    names.forEach((from, index) => {
      const distance = (other: number): number => Math.abs(index - other) % (names.length - 1);
      names.forEach((to, other) => {
        if (distance(other) > 1) network.block(from, to);
      });
    });
    field.later(fault.lastsMs, () => openAll(field));
  },
  "swizzle-clog": async (field, { victim, fault, random }) => {
    const server = await field.server(victim);
    const chosen = random.shuffle(field.fleet.hosts).slice(0, random.between(1, field.fleet.hosts.length));
    const stepMs = fault.lastsMs / (2 * chosen.length);
    if (chosen.includes(server)) field.counters.add("swizzle-clog-hit-server");
    chosen.forEach((host, index) => field.later(index * stepMs, () => clog(field, host)));
    random
      .shuffle(chosen)
      .forEach((host, index) =>
        field.later(fault.lastsMs / 2 + (index + 1) * stepMs, () => field.unblock(host)),
      );
  },
  flapping: (field, { victim, fault, random }) => {
    const count = random.between(FLAPS_MIN, FLAPS_MAX);
    for (let flap = 0; flap < count; flap++) {
      const atMs = (flap * fault.lastsMs) / count;
      field.later(atMs, () => (flap % 2 === 0 ? clog(field, victim) : field.unblock(victim)));
    }
    field.later(fault.lastsMs, () => field.unblock(victim));
  },
  "slow-links": (field, { victim, fault }) => {
    slow(field, victim, fault.lastsMs / 20);
    field.later(fault.lastsMs, () => slow(field, victim, 0));
  },
  "reset-streams": (field, { victim, fault }) => {
    field.network.cut(victim.name, field.host(fault.choice >>> 8).name);
  },
  "half-open": (field, { victim, fault }) => {
    field.network.forsake(victim.name, field.host(fault.choice >>> 8).name);
  },
};

function halvesOf({ names }: Field, choice: number): [string[], string[]] {
  const sides: [string[], string[]] = [[], []];
  names.forEach((name, index) => sides[(choice >>> index) & 1 ? 0 : 1].push(name));
  return sides;
}

function separate(field: Field, sides: readonly (readonly string[])[], lastsMs: number): void {
  field.network.partition(sides);
  field.later(lastsMs, () => openAll(field));
}

function openAll(field: Field): void {
  for (const host of field.fleet.hosts) field.unblock(host);
}

function clog(field: Field, host: Host): void {
  field.network.partition([[host.name], field.others(host)]);
}

function slow(field: Field, host: Host, extraMs: number): void {
  for (const other of field.others(host)) {
    field.network.slow(host.name, other, extraMs);
    field.network.slow(other, host.name, extraMs);
  }
}
