/*
 * Clients outside the cluster: each calls one operation at a time on a random member, thinks, and goes on. Visitors are
 * programs that open the volume for one operation.
 */
import type { LoadConfig } from "../plan/run-config.ts";
import type { RandomStream } from "../world/random-stream.ts";
import { ClientCalls, type ClientCallsOptions } from "./client-calls.ts";
import type { KeyWrite } from "./cluster.ts";
import type { Host } from "./fleet.ts";
import { padValue } from "./values.ts";

/** What a workload works with. */
export interface WorkloadOptions extends ClientCallsOptions {
  readonly load: LoadConfig;
}

const NOBODY_UP_MS = 50;
const PADDING_MAX_BYTES = 3000;

/** A client mostly calls one member, so that locks stay where they are used. */
const FAITHFUL_PROBABILITY = 0.75;

const OWN_KEY_PROBABILITY = 0.35;

/** One client of so many watches one key through one member: it goes on where whoever needs a server would wait. */
const WATCHER_ONE_IN = 3;

/** A visitor looks so often whether its member is open. */
const VISIT_POLL_MS = 20;

/** A program that cannot open the volume within this time gives up. */
const VISIT_PATIENCE_MS = 5000;

const VISIT_PAUSE_MAX_MS = 800;

/** So many visitors just end instead of closing their member. */
const RUDE_PROBABILITY = 0.3;

/** Numbers of visitors among clients, behind those of all clients. */
const FIRST_VISITOR = 1000;

/** The clients of one run. */
export class Workload {
  readonly #options: WorkloadOptions;
  readonly #calls: ClientCalls;
  readonly #random: RandomStream;
  #valueCount = 0;
  #isStopping = false;
  #runningCount = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#calls = new ClientCalls(options);
    this.#random = options.world.random("workload");
  }

  /** Clients that still have a call open or go on calling. */
  get runningCount(): number {
    return this.#runningCount;
  }

  /** Sets the clients to work. */
  start(): void {
    const { load, fleet } = this.#options;
    for (let client = 0; client < load.clientCount; client++)
      this.#run(this.#client(client, this.#random.fork(`client-${client}`)));
    fleet.visitors.forEach((host, index) =>
      this.#run(this.#visit(host, FIRST_VISITOR + index, this.#random.fork(`visitor-${index}`))),
    );
  }

  /** No client begins another call. */
  stop(): void {
    this.#isStopping = true;
  }

  /** Reads every key through one member, as a client of its own. */
  async readAll(host: Host, client: number): Promise<void> {
    const { keys } = this.#options;
    for (const key of keys.single) await this.#calls.get(host, client, key);
    for (const group of keys.groups) await this.#calls.readGroup(host, client, group);
    await this.#calls.scan(host, client);
  }

  #run(client: Promise<void>): void {
    this.#runningCount += 1;
    void client.finally(() => {
      this.#runningCount -= 1;
    });
  }

  async #client(client: number, random: RandomStream): Promise<void> {
    const { world, fleet, load, keys } = this.#options;
    const favourite = random.pick(fleet.hosts);
    const watched = client % WATCHER_ONE_IN === WATCHER_ONE_IN - 1 ? random.pick(keys.common) : undefined;
    while (true) {
      await world.sleep(random.range(0, load.thinkMaxMs));
      if (this.#isStopping) return;
      const up = fleet.up();
      const isFaithful = watched !== undefined || random.chance(FAITHFUL_PROBABILITY);
      const host = isFaithful ? up.find((one) => one === favourite) : random.pick(up);
      if (host === undefined) await world.sleep(NOBODY_UP_MS);
      else if (watched === undefined) await this.#operate(client, host, random);
      else await this.#calls.get(host, client, watched);
    }
  }

  async #visit(host: Host, client: number, random: RandomStream): Promise<void> {
    const { world, fleet } = this.#options;
    while (true) {
      await world.sleep(random.range(0, VISIT_PAUSE_MAX_MS));
      if (this.#isStopping) return;
      fleet.start(host);
      const deadlineMs = world.nowMs + VISIT_PATIENCE_MS;
      while (host.member === undefined && world.nowMs < deadlineMs) await world.sleep(VISIT_POLL_MS);
      if (host.member !== undefined) await this.#operate(client, host, random);
      if (host.member === undefined || random.chance(RUDE_PROBABILITY)) fleet.kill(host);
      else await fleet.leave(host);
    }
  }

  #operate(client: number, host: Host, random: RandomStream): Promise<void> {
    const { keys, load } = this.#options;
    const isOwn = client < FIRST_VISITOR && random.chance(OWN_KEY_PROBABILITY);
    const candidates = isOwn ? keys.own(client) : keys.common;
    const key = random.pick(candidates) ?? "";
    let dice = random.unit();
    const isIn = (share: number): boolean => {
      dice -= share;
      return dice < 0;
    };
    if (isIn(load.readShare)) return this.#calls.get(host, client, key);
    if (isIn(load.scanShare)) return this.#calls.scan(host, client);
    if (isIn(load.writeShare)) return this.#calls.write(host, client, [this.#newWrite(key, random, 0)]);
    if (isIn(load.groupShare)) return this.#operateGroup(client, host, random);
    if (!isIn(load.batchShare)) return this.#calls.write(host, client, [this.#newWrite(key, random, 1)]);
    const chosen = random.shuffle(candidates).slice(0, random.between(2, 3));
    const writes = chosen.map((one) => this.#newWrite(one, random, 0.15));
    return this.#calls.write(host, client, writes);
  }

  #operateGroup(client: number, host: Host, random: RandomStream): Promise<void> {
    const group = random.pick(this.#options.keys.groups);
    if (group === undefined) return Promise.resolve();
    if (random.chance(0.5)) return this.#calls.readGroup(host, client, group);
    return this.#calls.writeGroup(host, client, group, this.#newValue(random));
  }

  #newWrite(key: string, random: RandomStream, deletionProbability: number): KeyWrite {
    return { key, value: random.chance(deletionProbability) ? undefined : this.#newValue(random) };
  }

  #newValue(random: RandomStream): string {
    this.#valueCount += 1;
    const padding = random.chance(0.3) ? random.between(0, PADDING_MAX_BYTES) : 0;
    return padValue(`v${this.#valueCount}`, padding);
  }
}
