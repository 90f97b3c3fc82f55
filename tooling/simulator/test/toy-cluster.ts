import { CancelledError, sleep } from "@holdfast/environment";
import type { Cluster, ClusterMember, KeyWrite, OpenOptions, SimulatedPorts } from "../src/index.ts";

/** What a toy cluster does wrong on purpose. */
export type ToyFault =
  /** Members answer reads from what they read last. */
  | "stale-read"
  /** One write in twenty is acknowledged and dropped. */
  | "lost-write"
  /** One key of a transaction of several is written later than its acknowledgement. */
  | "late-key"
  /** A member throws out of a timer. */
  | "throws"
  /** A promise is rejected and nobody listens. */
  | "rejects"
  /** A member never answers after its third write. */
  | "hangs"
  /** Everybody serves. */
  | "two-servers"
  /** A value comes back cut short. */
  | "damages"
  /** Writes go to a block that the judge forbids. */
  | "writes-outside";

const FORBIDDEN_BLOCK = 9n;

/** A cluster that is none: one table in memory that all members reach with some delay. */
export class ToyCluster implements Cluster {
  readonly #fault: ToyFault | undefined;
  readonly #table = new Map<string, string>();
  readonly #members: number[] = [];
  #term = 0n;

  constructor(fault?: ToyFault) {
    this.#fault = fault;
  }

  async format(ports: SimulatedPorts): Promise<void> {
    await ports.device.write(0n, new Uint8Array(4096), { isDurable: true });
  }

  judgeLanding = (write: { readonly firstBlock: bigint }): string | undefined =>
    write.firstBlock === FORBIDDEN_BLOCK ? "nobody may write there" : undefined;

  async open({ ports, process, brokenRules }: OpenOptions): Promise<ClusterMember> {
    const { clock, device, random } = ports;
    await device.read(0n, new Uint8Array(4096));
    const fault = brokenRules.has("commit-check") ? "lost-write" : this.#fault;
    const { number } = process;
    const cache = new Map<string, string | undefined>();
    let writeCount = 0;
    let isClosed = false;
    this.#members.push(number);
    this.#term += 1n;
    const leave = (): void => {
      const at = this.#members.indexOf(number);
      if (at >= 0) this.#members.splice(at, 1);
    };
    process.onState((state) => {
      if (state === "dead") leave();
    });
    if (fault === "throws") {
      clock.at(clock.now() + 2000, () => {
        throw new TypeError("a toy bug");
      });
    }
    if (fault === "rejects")
      clock.at(clock.now() + 2000, () => void Promise.reject(new TypeError("a toy bug")));

    const pass = async (): Promise<void> => {
      await sleep(clock, random.u32() % 5);
      if (isClosed) throw new CancelledError("the call");
    };
    const get = async (key: string): Promise<string | undefined> => {
      await pass();
      const value = fault === "stale-read" && cache.has(key) ? cache.get(key) : this.#table.get(key);
      cache.set(key, value);
      await pass();
      return fault === "damages" && value !== undefined && value.length > 20 ? value.slice(0, -1) : value;
    };
    const set = ({ key, value }: KeyWrite): void => {
      cache.set(key, value);
      if (value === undefined) this.#table.delete(key);
      else this.#table.set(key, value);
    };
    const transact = async (writes: readonly KeyWrite[]): Promise<void> => {
      await pass();
      const block = fault === "writes-outside" ? FORBIDDEN_BLOCK : BigInt(number % 8);
      await device.write(block * 4096n, new Uint8Array(512), { isDurable: true });
      writeCount += 1;
      if (fault === "hangs" && writeCount > 3) return new Promise(() => {});
      if (fault === "lost-write" && writeCount % 20 === 0) return;
      for (const [index, write] of writes.entries()) {
        if (fault === "late-key" && index > 0) clock.at(clock.now() + 200, () => set(write));
        else set(write);
      }
      await pass();
    };
    const readTogether = async (keys: readonly string[]): Promise<(string | undefined)[]> => {
      await pass();
      const values = keys.map((key) => this.#table.get(key));
      await pass();
      return values;
    };
    return {
      get,
      readTogether,
      transact,
      put: (key, value) => transact([{ key, value }]),
      del: (key) => transact([{ key, value: undefined }]),
      scan: async () => {
        await pass();
        return new Map(this.#table);
      },
      close: () => {
        isClosed = true;
        leave();
        return Promise.resolve();
      },
      status: () => ({ isServing: fault === "two-servers" || this.#members[0] === number, term: this.#term }),
    };
  }
}
