/*
 * The cluster that is put to the test: real members of a real volume, on simulated ports.
 */
import { HoldfastError, invariant, type Logger, makeAborter, utf8 } from "@holdfast/environment";
import {
  formatVolume,
  layoutFor,
  NOBODY,
  openMember,
  quorumRegionOf,
  RenewRefusedError,
  type RenewReport,
  renewVolume,
  type Dataset,
  type Member,
  type VolumeLayout,
} from "@holdfast/member";
import { type CommitRecord, CorruptionError, type QuorumRegion } from "@holdfast/quorum";
import type { Anatomy } from "../atlas/anatomy.ts";
import { VolumeAnatomy } from "../atlas/volume-anatomy.ts";
import { ElectionWatch } from "../coverage/election-watch.ts";
import { MemberWatch } from "../coverage/member-watch.ts";
import { TrafficWatch } from "../coverage/traffic-watch.ts";
import { audit } from "../shadow/audit.ts";
import type { BlockRun } from "../shadow/block-runs.ts";
import { type CommittedVolume, ShadowMap } from "../shadow/shadow-map.ts";
import type { LandingWrite } from "../world/landings.ts";
import type { SimulatedPorts } from "../world/ports.ts";
import type { SimulatedProcess } from "../world/process.ts";
import { ageVolume, GONE } from "./aged-volume.ts";
import type {
  Cluster,
  ClusterMember,
  ClusterStatus,
  ClusterWorld,
  KeyWrite,
  OpenOptions,
} from "./cluster.ts";
import { RecordWatch } from "./record-watch.ts";

/** Audits of one run beside the last: every so many commits. */
const COMMITS_PER_AUDIT = 100;

/** What judges a volume, once there is one. */
interface Judges {
  readonly region: QuorumRegion;
  readonly records: RecordWatch;
  readonly shadow: ShadowMap;
  readonly layout: VolumeLayout;
  readonly mkfs: BlockRun;
  readonly anatomy: VolumeAnatomy;
  readonly elections: ElectionWatch;
  readonly members: MemberWatch;
}

/** A cluster of members as `@holdfast/member` makes them. */
export class MemberCluster implements Cluster {
  #world: ClusterWorld | undefined;
  #judges: Judges | undefined;
  #commitCount = 0;

  readonly anatomy: Anatomy = {
    placeOf: (block) => this.#judges?.anatomy.placeOf(block),
    recordTwin: (block) => this.#judges?.anatomy.recordTwin(block),
    blocksOf: (kind) => this.#judges?.anatomy.blocksOf(kind) ?? [],
  };

  useWorld(world: ClusterWorld): void {
    this.#world = world;
  }

  readonly judgeLanding = (write: LandingWrite): string | undefined => {
    this.#judges?.elections.landed(write);
    return this.#judges?.records.judge(write) ?? this.#judges?.shadow.judge(write);
  };

  /** Blocks of dead members that an agent could have confirmed. */
  leftovers(): readonly string[] {
    const newest = this.#judges?.shadow.newest;
    if (newest === undefined || this.#world?.config.volume.isFenced !== true) return [];
    return [...newest.image.quarantine]
      .filter(([owner]) => owner !== NOBODY && owner !== GONE && !newest.image.members.has(owner))
      .map(([owner, runs]) => `${runs.length} extents of member ${owner} are in quarantine`);
  }

  inspect(): readonly string[] {
    return this.#audit();
  }

  async format(ports: SimulatedPorts): Promise<void> {
    const { device, random } = ports;
    const world = this.#world;
    invariant(world !== undefined, "the world is given before the run");
    const { volume } = world.config;
    const options = { label: "simulated", votes: volume.votes, termsMax: volume.termsMax };
    const superBlock = await formatVolume(device, options, random);
    const { fsid, termsMax } = superBlock;
    const layout = layoutFor(device.sizeBytes, termsMax);
    world.counters.add(volume.isAged ? "volume aged" : "volume fresh");
    const mkfs = volume.isAged
      ? await ageVolume({ device, fsid, layout, random: world.random })
      : { start: layout.dataBlock, lengthBlocks: 1 };
    this.#judges = makeJudges({
      world,
      layout,
      mkfs,
      region: quorumRegionOf(superBlock, layout),
      onCommitted: (record) => this.#committed(record),
    });
  }

  /** What was committed is judged by the records of a generation: those of the next one are judged afresh. */
  async renew({ device, clock, random, processes, fenceAgent }: SimulatedPorts): Promise<void> {
    const [world, judges] = [this.#world, this.#judges];
    invariant(world !== undefined && judges !== undefined, "only a formatted volume is renewed");
    const { layout, mkfs, region } = judges;
    const { signal } = makeAborter();
    const renew = (fenced: ReadonlySet<bigint>): Promise<RenewReport> =>
      renewVolume({ device, clock, rid: random.u64() | 1n, processes, fenceAgent, fenced, signal });
    this.#judges = undefined;
    const report = await renew(new Set()).catch((error: unknown) => {
      if (!(error instanceof RenewRefusedError)) throw error;
      // Every process is dead and nothing is under way: the operator says so of those whom the agent does not know.
      return renew(new Set(error.suspects.map(({ rid }) => rid)));
    });
    const next = { ...region, generation: report.generation, termBase: report.firstTerm - 1n };
    this.#judges = makeJudges({
      world,
      layout,
      mkfs,
      region: next,
      onCommitted: (record) => this.#committed(record),
    });
  }

  async open(options: OpenOptions): Promise<ClusterMember> {
    const { process, listenAddress, brokenRules, onLost } = options;
    const { fenceAgent, ...ports } = options.ports;
    const volume = this.#world?.config.volume;
    this.#judges?.members.watch(process);
    const member = await openMember({
      ...ports,
      ...(volume?.isFenced === true ? { fenceAgent } : {}),
      log: this.#overheard(ports.log, process),
      ...(listenAddress === undefined ? {} : { listenAddress }),
      name: process.name,
      storeLimits: {
        memtableBytesMax: volume?.memtableBytes,
        readCacheBytesMax: volume?.readCacheBytes,
        blockCacheBytesMax: volume?.blockCacheBytes,
      },
      brokenRules,
      onLost,
    });
    process.rid = member.rid;
    return new SimulatedMember(member, await member.dataset(), () => this.#acknowledged(member.rid));
  }

  /** The log of a member, heard by the judges as well. */
  #overheard(log: Logger, process: SimulatedProcess): Logger {
    const heard =
      (level: "debug" | "info" | "warn") =>
      (facts: object, message: string): void => {
        this.#judges?.members.heard(process, facts as Readonly<Record<string, unknown>>);
        this.#judges?.records.heard(facts);
        this.#identify(facts, process);
        log[level](facts, message);
      };
    const error = (facts: object, message: string): void => {
      this.#judges?.members.heard(process, facts as Readonly<Record<string, unknown>>);
      this.#judgeHalt(facts);
      log.error(facts, message);
    };
    return { ...log, debug: heard("debug"), info: heard("info"), warn: heard("warn"), error };
  }

  /** Elections may halt only where both copies of a half are damaged. */
  #judgeHalt(facts: object): void {
    const { event, err } = facts as Readonly<Record<string, unknown>>;
    if (event !== "election.halted" || !(err instanceof CorruptionError)) return;
    if (err.code !== "ERR_HOLDFAST_RECORD_CORRUPT") return;
    this.#world?.counters.add("elections halted");
    const { term } = err.facts;
    const isExplained = this.#world?.halted(
      (half, copy) => this.#judges?.anatomy.isRecordUnreadable(term, half, copy) === true,
    );
    if (isExplained === false)
      this.#world?.complain(`elections halted over term ${term}, but each half has a copy that can be used`);
  }

  /** A member that has joined, or was elected, may die before it knows. */
  #identify(facts: object, process: SimulatedProcess): void {
    const { event, rid, name } = facts as Readonly<Record<string, unknown>>;
    if (typeof rid !== "bigint") return;
    if (event === "election.won") process.rid ??= rid;
    if (event === "member.joined" && typeof name === "string") this.#world?.identify(name, rid);
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

interface JudgesOptions {
  readonly world: ClusterWorld;
  readonly layout: VolumeLayout;
  readonly mkfs: BlockRun;
  readonly region: QuorumRegion;
  readonly onCommitted: (record: CommitRecord) => void;
}

/** The judges of one generation of term slots. */
function makeJudges({ world, layout, mkfs, region, onCommitted }: JudgesOptions): Judges {
  const { counters, medium, watched, complain, note } = world;
  const shadow = new ShadowMap({ medium, layout, region, counters });
  const newest = (): CommittedVolume | undefined => shadow.newest;
  const elections = new ElectionWatch({ region, counters, medium });
  const traffic = new TrafficWatch(counters);
  watched.network.tap = traffic.sent;
  return {
    region,
    records: new RecordWatch({ region, counters, onCommitted, complain, note }),
    shadow,
    layout,
    mkfs,
    anatomy: new VolumeAnatomy({ layout, region, medium, newest }),
    elections,
    members: new MemberWatch({ ...watched, counters, elections, traffic }),
  };
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

  readTogether(keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    return this.#dataset.transaction(async (transaction) => {
      const values: (string | undefined)[] = [];
      for (const key of keys) {
        const value = await transaction.get(key);
        values.push(value === undefined ? undefined : utf8.decode(value));
      }
      return values;
    });
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
