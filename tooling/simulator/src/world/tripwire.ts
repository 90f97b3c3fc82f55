/*
 * The tripwire: while events of a world run, the real clock, the real random source and the real timers throw.
 *
 * What they throw may be swallowed by the code that tripped, so each hit is also reported.
 */

/** Something that code in a world may not touch. */
interface Wire {
  readonly owner: object;
  readonly name: string;
  readonly label: string;
}

const WIRES: readonly Wire[] = [
  { owner: Date, name: "now", label: "Date.now" },
  { owner: Math, name: "random", label: "Math.random" },
  { owner: performance, name: "now", label: "performance.now" },
  { owner: globalThis, name: "setTimeout", label: "setTimeout" },
  { owner: globalThis, name: "setInterval", label: "setInterval" },
  { owner: globalThis, name: "setImmediate", label: "setImmediate" },
  { owner: globalThis, name: "fetch", label: "fetch" },
  { owner: AbortSignal, name: "timeout", label: "AbortSignal.timeout" },
  { owner: process, name: "hrtime", label: "process.hrtime" },
];

/**
 * Arms the tripwire.
 *
 * @param onTripped - Told the name of what was touched, before the touching code gets its error.
 * @returns Puts everything back.
 */
export function armTripwire(onTripped: (label: string) => void): () => void {
  const saved = WIRES.map((wire) => Object.getOwnPropertyDescriptor(wire.owner, wire.name));
  for (const wire of WIRES) {
    Object.defineProperty(wire.owner, wire.name, {
      configurable: true,
      writable: true,
      value: (): never => {
        onTripped(wire.label);
        throw new Error(`${wire.label} was used inside a simulated world`);
      },
    });
  }
  return () => {
    for (const [index, wire] of WIRES.entries()) {
      const descriptor = saved[index];
      if (descriptor === undefined) Reflect.deleteProperty(wire.owner, wire.name);
      else Object.defineProperty(wire.owner, wire.name, descriptor);
    }
  };
}
