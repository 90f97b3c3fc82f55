import {
  type DiskOptions,
  SimulatedDisk,
  SimulatedNetwork,
  SimulatedWorld,
  portsOf,
  type SimulatedPorts,
  type SimulatedProcess,
} from "../src/index.ts";

/** A world with a network, a disk and some processes. */
export interface Simulated {
  readonly world: SimulatedWorld;
  readonly network: SimulatedNetwork;
  readonly disk: SimulatedDisk;
  /** Starts a process with all its ports. */
  readonly start: (host: string) => { readonly process: SimulatedProcess; readonly ports: SimulatedPorts };
  /** Runs the world until the promise has settled. */
  readonly settle: <T>(promise: Promise<T>) => Promise<T>;
  /** Runs the world for so many milliseconds. */
  readonly advance: (ms: number) => Promise<void>;
}

export function simulate(
  seed: bigint = 1n,
  sizeBytes: bigint = 8n * 1024n * 1024n,
  options: Omit<DiskOptions, "sizeBytes"> = {},
): Simulated {
  const world = new SimulatedWorld({ seed });
  const network = new SimulatedNetwork(world);
  const disk = new SimulatedDisk(world, { sizeBytes, ...options });
  return {
    world,
    network,
    disk,
    start: (host) => {
      const process = world.startProcess(host);
      return { process, ports: portsOf(process, { network, disk }) };
    },
    settle: async (promise) => {
      let isSettled = false;
      const mark = (): void => {
        isSettled = true;
      };
      promise.then(mark, mark);
      await world.run({ isDone: () => isSettled });
      return promise;
    },
    advance: async (ms) => {
      await world.run({ untilMs: world.nowMs + ms });
    },
  };
}
