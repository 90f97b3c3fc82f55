/*
 * The cluster that is put to the test: real members of a real volume, on simulated ports.
 */
import { utf8 } from "@holdfast/environment";
import { formatVolume, openMember, type Dataset, type Member } from "@holdfast/member";
import type { SimulatedPorts } from "../world/ports.ts";
import type { LandingWrite } from "../world/landings.ts";
import type { Cluster, ClusterMember, ClusterStatus, KeyWrite, OpenOptions } from "./cluster.ts";
import type { Counters } from "./counters.ts";
import { RecordWatch } from "./record-watch.ts";

/** Room for the journals of all incarnations of a run, none of which is ever confirmed dead; the medium is sparse. */
const DEVICE_BYTES = 4n * 1024n * 1024n * 1024n;

/** Elections of one run stay far below; each slot costs six blocks to format. */
const TERMS_MAX = 256;

/** Small enough that journals turn over and segments are written and merged within a run. */
const MEMTABLE_BYTES = 64 * 1024;

/** A cluster of members as `@holdfast/member` makes them. */
export class MemberCluster implements Cluster {
  readonly deviceSizeBytes: bigint = DEVICE_BYTES;
  #counters: Counters | undefined;
  #watch: RecordWatch | undefined;

  useCounters(counters: Counters): void {
    this.#counters = counters;
  }

  readonly judgeLanding = (write: LandingWrite): string | undefined => this.#watch?.judge(write);

  inspect(): readonly string[] {
    return this.#watch?.complaints ?? [];
  }

  async format(ports: SimulatedPorts): Promise<void> {
    const superBlock = await formatVolume(
      ports.device,
      { label: "simulated", votes: 1, termsMax: TERMS_MAX },
      ports.random,
    );
    this.#watch = new RecordWatch(superBlock, DEVICE_BYTES, this.#counters);
  }

  async open(options: OpenOptions): Promise<ClusterMember> {
    const { ports, process, listenAddress, brokenRules, onLost } = options;
    const { log } = ports;
    const member = await openMember({
      ...ports,
      log: {
        ...log,
        info: (facts, message) => {
          this.#watch?.heard(facts);
          log.info(facts, message);
        },
      },
      listenAddress,
      name: process.name,
      storeLimits: { memtableBytesMax: MEMTABLE_BYTES },
      brokenRules,
      onLost,
    });
    process.rid = member.rid;
    return new SimulatedMember(member, await member.dataset());
  }
}

class SimulatedMember implements ClusterMember {
  readonly #member: Member;
  readonly #dataset: Dataset;

  constructor(member: Member, dataset: Dataset) {
    this.#member = member;
    this.#dataset = dataset;
  }

  put(key: string, value: string): Promise<void> {
    return this.#dataset.put(key, value);
  }

  del(key: string): Promise<void> {
    return this.#dataset.delete(key);
  }

  transact(writes: readonly KeyWrite[]): Promise<void> {
    return this.#dataset.batch(
      writes.map(({ key, value }) => (value === undefined ? { key } : { key, value })),
    );
  }

  async get(key: string): Promise<string | undefined> {
    const value = await this.#dataset.get(key);
    return value === undefined ? undefined : utf8.decode(value);
  }

  async scan(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for await (const { key, value } of this.#dataset.scan()) found.set(utf8.decode(key), utf8.decode(value));
    return found;
  }

  close(): Promise<void> {
    return this.#member.close();
  }

  status(): ClusterStatus {
    const { isServing, term } = this.#member.report();
    return { isServing, term };
  }
}
