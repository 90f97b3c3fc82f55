/*
 * The cluster that is put to the test: real members of a real volume, on simulated ports.
 */
import { HoldfastError, type Logger, utf8 } from "@holdfast/environment";
import {
  formatVolume,
  layoutFor,
  openMember,
  type Dataset,
  type Member,
  type VolumeLayout,
} from "@holdfast/member";
import type { CommitRecord } from "@holdfast/quorum";
import { audit } from "../shadow/audit.ts";
import type { BlockRun } from "../shadow/block-runs.ts";
import { ShadowMap } from "../shadow/shadow-map.ts";
import type { LandingWrite } from "../world/landings.ts";
import type { SimulatedPorts } from "../world/ports.ts";
import { ageVolume } from "./aged-volume.ts";
import type {
  Cluster,
  ClusterMember,
  ClusterStatus,
  ClusterWorld,
  KeyWrite,
  OpenOptions,
} from "./cluster.ts";
import { RecordWatch } from "./record-watch.ts";

/** Room for the journals of all incarnations of a run, none of which is ever confirmed dead; the medium is sparse. */
const DEVICE_BYTES = 4n * 1024n * 1024n * 1024n;

/** Elections of one run stay far below; each slot costs six blocks to format. */
const TERMS_MAX = 256;

/** Small enough that journals turn over and segments are written and merged within a run. */
const MEMTABLE_BYTES = 64 * 1024;

/** Half of the volumes were in use before. */
const AGED_PROBABILITY = 0.5;

/** Audits of one run beside the last: every so many commits. */
const COMMITS_PER_AUDIT = 100;

/** What judges a volume, once there is one. */
interface Judges {
  readonly records: RecordWatch;
  readonly shadow: ShadowMap;
  readonly layout: VolumeLayout;
  readonly mkfs: BlockRun;
}

/** A cluster of members as `@holdfast/member` makes them. */
export class MemberCluster implements Cluster {
  readonly deviceSizeBytes: bigint = DEVICE_BYTES;
  #world: ClusterWorld | undefined;
  #judges: Judges | undefined;
  #commitCount = 0;

  useWorld(world: ClusterWorld): void {
    this.#world = world;
  }

  readonly judgeLanding = (write: LandingWrite): string | undefined =>
    this.#judges?.records.judge(write) ?? this.#judges?.shadow.judge(write);

  inspect(): readonly string[] {
    return this.#audit();
  }

  async format(ports: SimulatedPorts): Promise<void> {
    const { device, random } = ports;
    const superBlock = await formatVolume(
      device,
      { label: "simulated", votes: 1, termsMax: TERMS_MAX },
      random,
    );
    const world = this.#world;
    if (world === undefined) return;
    const { fsid, termsMax } = superBlock;
    const layout = layoutFor(DEVICE_BYTES, termsMax);
    const isAged = world.random.chance(AGED_PROBABILITY);
    world.counters.add(isAged ? "volume aged" : "volume fresh");
    const mkfs = isAged
      ? await ageVolume({ device, fsid, layout, random: world.random })
      : { start: layout.dataBlock, lengthBlocks: 1 };
    const shadow = new ShadowMap({ medium: world.medium, fsid, layout, counters: world.counters });
    const records = new RecordWatch({
      region: { fsid, ...layout.quorum },
      counters: world.counters,
      onCommitted: (record) => this.#committed(record),
      complain: world.complain,
    });
    this.#judges = { records, shadow, layout, mkfs };
  }

  async open(options: OpenOptions): Promise<ClusterMember> {
    const { ports, process, listenAddress, brokenRules, onLost } = options;
    const member = await openMember({
      ...ports,
      log: this.#overheard(ports.log),
      listenAddress,
      name: process.name,
      storeLimits: { memtableBytesMax: MEMTABLE_BYTES },
      brokenRules,
      onLost,
    });
    process.rid = member.rid;
    return new SimulatedMember(member, await member.dataset(), () => this.#acknowledged(member.rid));
  }

  /** The log of a member, heard by the judges as well. */
  #overheard(log: Logger): Logger {
    const heard =
      (level: "debug" | "info") =>
      (facts: object, message: string): void => {
        this.#judges?.records.heard(facts);
        log[level](facts, message);
      };
    return { ...log, debug: heard("debug"), info: heard("info") };
  }

  #acknowledged(rid: bigint): void {
    const complaint = this.#judges?.shadow.acknowledged(rid);
    if (complaint !== undefined) this.#world?.complain(complaint);
  }

  #committed(record: CommitRecord): void {
    this.#world?.counters.add("commit recorded");
    try {
      this.#judges?.shadow.committed(record);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      const message = `the committed record (${record.term}, ${record.seq}) reaches what is not there`;
      this.#world?.complain(`${message}: ${error.message}`);
      return;
    }
    this.#commitCount += 1;
    if (this.#commitCount % COMMITS_PER_AUDIT !== 0) return;
    for (const complaint of this.#audit()) this.#world?.complain(complaint);
  }

  #audit(): readonly string[] {
    const judges = this.#judges;
    const newest = judges?.shadow.newest;
    if (judges === undefined || newest === undefined) return [];
    const { shadow, layout, mkfs } = judges;
    const free = shadow.reader.freeOf(newest.image.state);
    this.#world?.counters.add("audit");
    return audit({ image: newest.image, free, layout, mkfs }).map(
      (complaint) => `in the committed record (${newest.term}, ${newest.seq}): ${complaint}`,
    );
  }
}

class SimulatedMember implements ClusterMember {
  readonly #member: Member;
  readonly #dataset: Dataset;
  readonly #onAcknowledged: () => void;

  constructor(member: Member, dataset: Dataset, onAcknowledged: () => void) {
    this.#member = member;
    this.#dataset = dataset;
    this.#onAcknowledged = onAcknowledged;
  }

  async put(key: string, value: string): Promise<void> {
    await this.#dataset.put(key, value);
    this.#onAcknowledged();
  }

  async del(key: string): Promise<void> {
    await this.#dataset.delete(key);
    this.#onAcknowledged();
  }

  async transact(writes: readonly KeyWrite[]): Promise<void> {
    await this.#dataset.batch(
      writes.map(({ key, value }) => (value === undefined ? { key } : { key, value })),
    );
    this.#onAcknowledged();
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
