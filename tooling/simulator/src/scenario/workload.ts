/*
 * Clients outside the cluster: each calls one operation at a time on a random member, thinks, and goes on.
 */
import { HoldfastError } from "@holdfast/environment";
import type { RandomStream } from "../world/random-stream.ts";
import type { SimulatedWorld } from "../world/world.ts";
import type { ClusterMember, KeyWrite } from "./cluster.ts";
import type { Counters } from "./counters.ts";
import type { CallEnd, Fleet, Host } from "./fleet.ts";
import type { KeyCall, OpenOperation, Recorder } from "./recorder.ts";
import { padValue, unpadValue } from "./values.ts";
import type { Violation } from "./violation.ts";

/** What a workload works with. */
export interface WorkloadOptions {
  readonly world: SimulatedWorld;
  readonly fleet: Fleet;
  readonly recorder: Recorder;
  readonly counters: Counters;
  /** Keys that all clients use. */
  readonly keys: readonly string[];
  readonly clientCount: number;
  readonly thinkMaxMs: number;
  readonly onViolation: (violation: Violation) => void;
}

const NOBODY_UP_MS = 50;
const PADDING_MAX_BYTES = 3000;

/** A client mostly calls one member, so that locks stay where they are used. */
const FAITHFUL_PROBABILITY = 0.75;

/** Keys that one client alone writes: there nobody else's write can hide that one was lost. */
const OWN_KEYS_COUNT = 3;
const OWN_KEY_PROBABILITY = 0.35;

/** The clients of one run. */
export class Workload {
  readonly #options: WorkloadOptions;
  readonly #random: RandomStream;
  #valueCount = 0;
  #isStopping = false;
  #runningCount = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#random = options.world.random("workload");
  }

  /** Clients that still have a call open or go on calling. */
  get runningCount(): number {
    return this.#runningCount;
  }

  /** Sets the clients to work. */
  start(): void {
    for (let client = 0; client < this.#options.clientCount; client++) {
      this.#runningCount += 1;
      void this.#client(client, this.#random.fork(`client-${client}`)).finally(() => {
        this.#runningCount -= 1;
      });
    }
  }

  /** No client begins another call. */
  stop(): void {
    this.#isStopping = true;
  }

  /** Reads every key through one member, as a client of its own. */
  async readAll(host: Host, client: number): Promise<void> {
    for (const key of this.#allKeys()) await this.#get(host, client, key);
    await this.#scan(host, client);
  }

  async #client(client: number, random: RandomStream): Promise<void> {
    const { world, fleet, thinkMaxMs } = this.#options;
    const favourite = random.pick(fleet.hosts);
    while (true) {
      await world.sleep(random.range(0, thinkMaxMs));
      if (this.#isStopping) return;
      const up = fleet.up();
      const isFaithful = random.chance(FAITHFUL_PROBABILITY);
      const host = isFaithful ? up.find((one) => one === favourite) : random.pick(up);
      if (host === undefined) await world.sleep(NOBODY_UP_MS);
      else await this.#operate(client, host, random);
    }
  }

  #operate(client: number, host: Host, random: RandomStream): Promise<void> {
    const isOwn = random.chance(OWN_KEY_PROBABILITY);
    const keys = isOwn ? ownKeys(client) : this.#options.keys;
    const key = random.pick(keys) ?? "";
    const dice = random.unit();
    if (dice < 0.45) return this.#get(host, client, key);
    if (dice < 0.5) return this.#scan(host, client);
    if (dice < 0.82) return this.#write(host, client, [this.#newWrite(key, random, 0)]);
    const chosen = random.shuffle(keys).slice(0, dice < 0.92 ? random.between(2, 3) : 1);
    const deletion = dice < 0.92 ? 0.15 : 1;
    return this.#write(
      host,
      client,
      chosen.map((one) => this.#newWrite(one, random, deletion)),
    );
  }

  #newWrite(key: string, random: RandomStream, deletionProbability: number): KeyWrite {
    if (random.chance(deletionProbability)) return { key, value: undefined };
    this.#valueCount += 1;
    const padding = random.chance(0.3) ? random.between(0, PADDING_MAX_BYTES) : 0;
    return { key, value: padValue(`v${this.#valueCount}`, padding) };
  }

  async #write(host: Host, client: number, writes: readonly KeyWrite[]): Promise<void> {
    const operation = this.#begin(
      client,
      writes.map(({ key, value }) =>
        value === undefined
          ? { key, operation: "delete" }
          : { key, operation: "write", value: unpadValue(value) },
      ),
    );
    const end = await this.#options.fleet.call(host, (member) => performWrites(member, writes));
    this.#count("write", end);
    if (end.type === "value") operation.succeed();
    else if (end.type === "error" && hadNoEffect(end.error)) operation.fail();
    else operation.forget();
  }

  async #get(host: Host, client: number, key: string): Promise<void> {
    const operation = this.#begin(client, [{ key, operation: "read" }]);
    const end = await this.#options.fleet.call(host, (member) => member.get(key));
    this.#count("read", end);
    if (end.type === "value") operation.succeed(() => this.#valueOf(key, end.value));
    else operation.fail();
  }

  async #scan(host: Host, client: number): Promise<void> {
    const { fleet, onViolation } = this.#options;
    const keys = this.#allKeys();
    const operation = this.#begin(
      client,
      keys.map((key) => ({ key, operation: "read" })),
    );
    const end = await fleet.call(host, (member) => member.scan());
    this.#count("scan", end);
    if (end.type !== "value") {
      operation.fail();
      return;
    }
    const found = end.value;
    operation.succeed((key) => this.#valueOf(key, found.get(key)));
    for (const key of found.keys()) {
      if (!keys.includes(key)) onViolation({ type: "damaged-value", message: `a scan found the key ${key}` });
    }
  }

  #allKeys(): readonly string[] {
    const { keys, clientCount } = this.#options;
    return [...keys, ...Array.from({ length: clientCount }, (_, client) => ownKeys(client)).flat()];
  }

  #begin(client: number, calls: readonly KeyCall[]): OpenOperation {
    return this.#options.recorder.begin(client, calls);
  }

  #valueOf(key: string, stored: string | undefined): string | undefined {
    if (stored === undefined) return undefined;
    const name = unpadValue(stored);
    if (name === undefined) {
      const message = `key ${key} came back damaged: ${stored.length} characters, ${stored.slice(0, 40)}`;
      this.#options.onViolation({ type: "damaged-value", message });
    }
    return name ?? stored;
  }

  #count(what: string, end: CallEnd<unknown>): void {
    this.#options.counters.add(`${what} ${end.type}`);
  }
}

/** The keys of one client: in a lock range that few others share, or none. */
function ownKeys(client: number): readonly string[] {
  return Array.from(
    { length: OWN_KEYS_COUNT },
    (_, index) => `${OWN_RANGES[client % OWN_RANGES.length]}${client}${index}`,
  );
}

/** First characters of clients' own keys; one character, one lock range. */
const OWN_RANGES = "ABCD";

function performWrites(member: ClusterMember, writes: readonly KeyWrite[]): Promise<void> {
  const [first] = writes;
  if (first === undefined || writes.length > 1) return member.transact(writes);
  return first.value === undefined ? member.del(first.key) : member.put(first.key, first.value);
}

function hadNoEffect(error: unknown): boolean {
  return error instanceof HoldfastError && error.category === "conflict";
}
