/*
 * Fencing as one process sees it: what the world knows of who can still write.
 *
 * Both ports tell the truth and nothing else: a process is gone when it is dead and none of its writes is under way, however
 * long the device holds them back.
 */
import type {
  Fence,
  FenceAgent,
  FenceAnswer,
  FenceTarget,
  ProcessIdentity,
  Processes,
} from "@holdfast/environment";
import type { SimulatedDisk } from "./disk.ts";
import type { SimulatedProcess } from "./process.ts";

/** A fence agent answers within this time, virtual milliseconds, or refuses. */
const FENCE_PATIENCE_MS = 2000;
const POLL_MS = 50;

/** The processes of one host. */
export class SimulatedProcesses implements Processes {
  readonly own: ProcessIdentity;
  readonly #process: SimulatedProcess;
  readonly #disk: SimulatedDisk;

  constructor(process: SimulatedProcess, disk: SimulatedDisk) {
    this.#process = process;
    this.#disk = disk;
    this.own = identityOf(process);
  }

  isGone({ hostName, pid }: ProcessIdentity): Promise<boolean> {
    const other = this.#process.world.processes[pid - 1];
    const isHere = hostName === this.#process.host && other?.host === hostName;
    return Promise.resolve(isHere && other !== undefined && this.#disk.isGone(other));
  }
}

/** An agent that switches the process of a member off, waits for its writes to land, and says so. */
export class SimulatedFenceAgent implements FenceAgent {
  readonly #process: SimulatedProcess;
  readonly #disk: SimulatedDisk;

  /** @param process - Who asks; the answer is an event of it. */
  constructor(process: SimulatedProcess, disk: SimulatedDisk) {
    this.#process = process;
    this.#disk = disk;
  }

  fence(target: FenceTarget): Fence {
    // Whoever has stopped asking does not listen any more.
    return { answer: this.#answer(target), cancel: () => {} };
  }

  #answer(target: FenceTarget): Promise<FenceAnswer> {
    const { world } = this.#process;
    const { rid } = target;
    const victim = find(world.processes, target);
    const deadlineMs = world.nowMs + FENCE_PATIENCE_MS;
    world.note(this.#process.name, () => `fences ${victim?.name ?? `the unknown ${rid}`}`);
    victim?.kill({ isSilent: true, isFenced: true });
    return new Promise((resolve) => {
      const answer = (isConfirmed: boolean, detail: string): void => {
        this.#process.deliver("message", () => resolve({ rid, isConfirmed, detail }));
      };
      const look = (): void => {
        if (victim === undefined) answer(false, "nobody knows this member");
        else if (this.#disk.isGone(victim)) answer(true, "it is dead and its writes have landed");
        else if (world.nowMs > deadlineMs) answer(false, "its writes are still under way");
        else world.after(POLL_MS, look);
      };
      world.after(POLL_MS, look);
    });
  }
}

/** The process that is a member: by its identity on the volume, or as what it joined if it died before it knew that. */
function find(
  processes: readonly SimulatedProcess[],
  { rid, process: { pid, hostName } }: FenceTarget,
): SimulatedProcess | undefined {
  const named = processes.find((process) => process.rid === rid);
  const joined = processes[pid - 1];
  return named ?? (joined?.rid === undefined && joined?.host === hostName ? joined : undefined);
}

function identityOf(process: SimulatedProcess): ProcessIdentity {
  return {
    hostName: process.host,
    bootId: `boot-of-${process.host}`,
    namespace: 1n,
    pid: process.number,
    startTime: BigInt(process.number),
  };
}
