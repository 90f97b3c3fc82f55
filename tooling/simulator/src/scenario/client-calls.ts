/*
 * What clients call, each call written down: as it began, and as it ended.
 *
 * A group of keys is written down as one key that each transaction writes or reads: a reader that sees the tags of two
 * transactions is a violation at once, and everything else about the group is judged as for any key.
 */
import { HoldfastError } from "@holdfast/environment";
import type { SimulatedWorld } from "../world/world.ts";
import type { ClusterMember, KeyWrite } from "./cluster.ts";
import type { Counters } from "./counters.ts";
import type { CallEnd, Fleet, Host } from "./fleet.ts";
import type { KeyGroup, KeySpace } from "./key-space.ts";
import type { OpenOperation, Recorder } from "./recorder.ts";
import { unpadValue } from "./values.ts";
import type { Violation } from "./violation.ts";

/** What calls work with. */
export interface ClientCallsOptions {
  readonly world: SimulatedWorld;
  readonly fleet: Fleet;
  readonly recorder: Recorder;
  readonly counters: Counters;
  readonly keys: KeySpace;
  readonly onViolation: (violation: Violation) => void;
}

/** What a hidden stop of a process does to the freshness of its reads is over by then: the lease that ran meanwhile has ended. */
const DOUBT_MS = 2000;

/** Makes calls. */
export class ClientCalls {
  readonly #options: ClientCallsOptions;

  constructor(options: ClientCallsOptions) {
    this.#options = options;
  }

  async write(host: Host, client: number, writes: readonly KeyWrite[]): Promise<void> {
    const operation = this.#options.recorder.begin(
      client,
      writes.map(({ key, value }) =>
        value === undefined
          ? { key, operation: "delete" }
          : { key, operation: "write", value: unpadValue(value) },
      ),
    );
    const end = await this.#options.fleet.call(host, (member) => performWrites(member, writes));
    this.#wrote("write", operation, end);
  }

  /** Gives all keys of a group one value, in one transaction. */
  async writeGroup(host: Host, client: number, { name, keys }: KeyGroup, value: string): Promise<void> {
    const call = { key: name, operation: "write", value: unpadValue(value) } as const;
    const operation = this.#options.recorder.begin(client, [call]);
    const end = await this.#options.fleet.call(host, (member) =>
      member.transact(keys.map((key) => ({ key, value }))),
    );
    this.#wrote("group write", operation, end);
  }

  async get(host: Host, client: number, key: string): Promise<void> {
    const { recorder, fleet } = this.#options;
    const operation = recorder.begin(client, [{ key, operation: "read" }]);
    const process = host.process;
    const end = await fleet.call(host, (member) => member.get(key));
    this.#count("read", end);
    if (end.type === "value" && !this.#isDoubtful(process))
      operation.succeed(() => this.#valueOf(key, end.value));
    else operation.fail();
  }

  /** Reads all keys of a group in one transaction. */
  async readGroup(host: Host, client: number, { name, keys }: KeyGroup): Promise<void> {
    const { recorder, fleet, onViolation } = this.#options;
    const operation = recorder.begin(client, [{ key: name, operation: "read" }]);
    const process = host.process;
    const end = await fleet.call(host, (member) => member.readTogether(keys));
    this.#count("group read", end);
    if (end.type !== "value" || this.#isDoubtful(process)) {
      operation.fail();
      return;
    }
    const values = end.value.map((value, index) => this.#valueOf(keys[index] ?? name, value));
    if (new Set(values).size > 1) {
      const message = `one transaction read ${keys.map((key, index) => `${key} = ${values[index]}`).join(", ")}`;
      onViolation({ type: "not-atomic", message: `${message}, which were only ever written together` });
    }
    operation.succeed(() => values[0]);
  }

  async scan(host: Host, client: number): Promise<void> {
    const { fleet, recorder, keys, onViolation } = this.#options;
    const operation = recorder.begin(
      client,
      keys.single.map((key) => ({ key, operation: "read" })),
    );
    const process = host.process;
    const end = await fleet.call(host, (member) => member.scan());
    this.#count("scan", end);
    if (end.type !== "value" || this.#isDoubtful(process)) {
      operation.fail();
      return;
    }
    const found = end.value;
    operation.succeed((key) => this.#valueOf(key, found.get(key)));
    for (const key of found.keys()) {
      if (!keys.has(key)) onViolation({ type: "damaged-value", message: `a scan found the key ${key}` });
    }
  }

  /** True if a process may not know yet that its lease is over, for its clock stood still: then its reads may be stale. */
  #isDoubtful(process: Host["process"]): boolean {
    const isDoubtful = process !== undefined && this.#options.world.nowMs < process.lastHiddenMs + DOUBT_MS;
    if (isDoubtful) this.#options.counters.add("read of doubtful freshness left out");
    return isDoubtful;
  }

  #wrote(what: string, operation: OpenOperation, end: CallEnd<void>): void {
    this.#count(what, end);
    if (end.type === "value") operation.succeed();
    else if (end.type === "error" && hadNoEffect(end.error)) operation.fail();
    else operation.forget();
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

function performWrites(member: ClusterMember, writes: readonly KeyWrite[]): Promise<void> {
  const [first] = writes;
  if (first === undefined || writes.length > 1) return member.transact(writes);
  return first.value === undefined ? member.del(first.key) : member.put(first.key, first.value);
}

function hadNoEffect(error: unknown): boolean {
  return error instanceof HoldfastError && error.category === "conflict";
}
