/*
 * Several lock clients, one lock server after another, ordered channels between them, and one random schedule.
 *
 * Each lock protects a counter: a writer adds one in its cache, a flush records the cache, a reader looks. Whoever
 * uses a lock must see every addition made so far, by whomever; that is the promise that locks exist for.
 */
import { LockClient, type LockClientEffect, type LockState } from "@holdfast/lock-client";
import { type LockMode, LockRange } from "@holdfast/lock-protocol";
import { LockServer, type LockServerEffect } from "@holdfast/lock-server";
import { SeededRandom } from "@holdfast/memory-ports";
import { KEY_BYTES } from "@holdfast/wire-format";

/** A promise of the locks that did not hold. */
export class BrokenPromiseError extends Error {}

/** How often something happened that a test wants to have happened. */
export interface Sightings {
  failOvers: number;
  deaths: number;
  cancels: number;
  givenBack: number;
  declined: number;
  admitted: number;
}

const RANGES = [0, 10, 20, 30].map((start) => {
  const first = new Uint8Array(KEY_BYTES).fill(start);
  return new LockRange({ start: first, end: new Uint8Array(KEY_BYTES).fill(start + 9) });
});

type ToServer =
  | { readonly type: "ask"; readonly request: number }
  | { readonly type: "answer"; readonly range: LockRange; readonly mode: LockMode; readonly term: bigint };

type ToMember = { readonly term: bigint; readonly effect: LockServerEffect };

interface User {
  readonly lock: LockState;
  readonly mode: LockMode;
}

interface Member {
  readonly rid: bigint;
  readonly client: LockClient;
  readonly waits: Map<number, LockRange>;
  readonly users: User[];
  readonly values: Map<string, number>;
  readonly dirty: Set<string>;
  readonly flushes: { readonly range: LockRange; readonly to: LockMode }[];
  readonly settles: LockRange[];
  readonly asked: Map<number, { readonly range: LockRange; readonly mode: LockMode }>;
  readonly demands: Map<number, { readonly range: LockRange; readonly term: bigint }>;
  toServer: ToServer[];
  fromServer: ToMember[];
  term: bigint;
}

/** One run: the same seed gives the same run. */
export class LockWorld {
  readonly sightings: Sightings = {
    failOvers: 0,
    deaths: 0,
    cancels: 0,
    givenBack: 0,
    declined: 0,
    admitted: 0,
  };
  readonly #random: SeededRandom;
  readonly #brokenRules: ReadonlySet<string>;
  readonly #members: Member[] = [];
  /** Dead, not yet evicted. */
  readonly #dead: Member[] = [];
  readonly #recorded = new Map<string, number>();
  readonly #added = new Map<string, number>();
  readonly #tokens = new Map<string, bigint>();
  #server: LockServer;
  #term = 1n;
  #lastName = 0;
  #lastRid = 0n;

  constructor(seed: number, brokenRules: ReadonlySet<string> = new Set()) {
    this.#random = new SeededRandom(seed);
    this.#brokenRules = brokenRules;
    this.#server = new LockServer({ term: this.#term, locksMax: 10 });
    this.#server.handle({ type: "begin-recovery", members: [] });
    for (let count = 0; count < 3; count += 1) this.#join();
  }

  /** Runs `steps` random steps, then lets everything under way come to its end and checks that nothing is left. */
  run(steps: number): void {
    for (let step = 0; step < steps; step += 1) {
      this.#disturb();
      for (let turn = this.#below(8); turn > 0; turn -= 1) this.#progress();
    }
    let quietSteps = 0;
    for (let step = 0; quietSteps < 200; step += 1) {
      if (step > 20_000) throw new BrokenPromiseError("the cluster does not come to rest");
      quietSteps = this.#progress() ? 0 : quietSteps + 1;
    }
    this.#checkRest();
  }

  #disturb(): void {
    const dice = this.#below(100);
    if (dice === 0) this.#failOver();
    else if (dice === 1) this.#die();
    else if (dice < 50) this.#acquire();
    else if (dice < 54) this.#cancel();
  }

  /** Does one thing that is under way somewhere; false when the place it looked at had nothing. */
  #progress(): boolean {
    if (this.#below(20) === 0 && this.#evict()) return true;
    const member = this.#pick(this.#members);
    if (member === undefined) return false;
    if (member.term !== this.#term && this.#below(8) === 0) return this.#connect(member);
    switch (this.#below(5)) {
      case 0:
        return this.#serve(member);
      case 1:
        return this.#deliver(member);
      case 2:
        return this.#endFlush(member);
      case 3:
        return this.#settle(member);
      default:
        return this.#endUse(member);
    }
  }

  #join(): void {
    this.#lastRid += 1n;
    const client = new LockClient({ idleLimit: Number(this.#lastRid % 2n), brokenRules: this.#brokenRules });
    client.handle({ type: "new-server", term: this.#term });
    this.#members.push({
      rid: this.#lastRid,
      client,
      waits: new Map(),
      users: [],
      values: new Map(),
      dirty: new Set(),
      flushes: [],
      settles: [],
      asked: new Map(),
      demands: new Map(),
      toServer: [],
      fromServer: [],
      term: this.#term,
    });
  }

  #acquire(): void {
    const member = this.#pick(this.#members);
    const range = this.#pick(RANGES);
    if (member === undefined || range === undefined) return;
    const mode = this.#below(2) === 0 ? "read" : "write";
    const lock = member.client.take(range.id, mode);
    if (lock === undefined) {
      const waiter = this.#name();
      member.waits.set(waiter, range);
      this.#perform(member, member.client.handle({ type: "acquire", waiter, range, mode }));
    } else this.#use(member, lock, mode);
    if (!member.client.isOverIdleLimit) return;
    this.sightings.givenBack += 1;
    this.#perform(member, member.client.handle({ type: "shrink" }));
  }

  #cancel(): void {
    const member = this.#pick(this.#members);
    const [waiter, range] = this.#pick([...(member?.waits ?? [])]) ?? [];
    if (member === undefined || waiter === undefined || range === undefined) return;
    this.sightings.cancels += 1;
    member.waits.delete(waiter);
    this.#perform(member, member.client.handle({ type: "cancel", waiter, range }));
  }

  #die(): void {
    const member = this.#members.splice(this.#below(this.#members.length), 1)[0];
    if (member === undefined) return;
    this.sightings.deaths += 1;
    this.#dead.push(member);
    this.#join();
  }

  /** The server replays the dead member's journal, and only then gives its locks on. */
  #evict(): boolean {
    const member = this.#dead.shift();
    if (member === undefined) return false;
    for (const id of member.dirty) this.#record(member, id);
    this.#take(this.#server.handle({ type: "remove", rid: member.rid }));
    return true;
  }

  /** A new server; messages of the old one are still under way until a member meets the new one. */
  #failOver(): void {
    this.sightings.failOvers += 1;
    this.#term += 1n;
    this.#server = new LockServer({ term: this.#term, locksMax: 10 });
    const members = [...this.#members, ...this.#dead].map(({ rid }) => rid);
    this.#take(this.#server.handle({ type: "begin-recovery", members }));
  }

  #connect(member: Member): boolean {
    member.term = this.#term;
    member.fromServer = [];
    member.toServer = [];
    this.#perform(member, member.client.handle({ type: "new-server", term: this.#term }));
    const claims = member.client
      .report()
      .map(({ start, end, mode, writeSeq }) => ({ range: new LockRange({ start, end }), mode, writeSeq }));
    this.#take(this.#server.handle({ type: "reclaim", rid: member.rid, claims }));
    this.#take(this.#server.handle({ type: "reclaimed", rid: member.rid }));
    member.toServer = [...member.asked.keys()].map((request) => ({ type: "ask", request }) as const);
    return true;
  }

  #serve(member: Member): boolean {
    const message = member.term === this.#term ? member.toServer.shift() : undefined;
    if (message === undefined) return false;
    const { rid } = member;
    if (message.type === "answer") {
      if (message.term !== this.#term) return true;
      const { range, mode } = message;
      this.#take(this.#server.handle({ type: "invalidated", rid, range, mode }));
      return true;
    }
    const question = member.asked.get(message.request);
    if (question === undefined) throw new BrokenPromiseError("a question was forgotten");
    this.#take(this.#server.handle({ type: "request", rid, request: message.request, ...question }));
    return true;
  }

  #take(effects: readonly LockServerEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "finish-recovery") continue;
      if (effect.type === "reject-peer" || effect.type === "refuse-reclaim")
        throw new BrokenPromiseError(`an honest member was rejected: ${JSON.stringify(effect, bigintText)}`);
      const member = this.#members.find(({ rid }) => rid === effect.rid);
      member?.fromServer.push({ term: this.#term, effect });
    }
  }

  #deliver(member: Member): boolean {
    const message = member.fromServer.shift();
    if (message === undefined) return false;
    const { term, effect } = message;
    if (effect.type === "grant") {
      member.asked.delete(effect.request);
      const { range, mode, writeSeq } = effect;
      this.#perform(
        member,
        member.client.handle({ type: "granted", range, mode, writeSeq, term, manifestVersion: 0n }),
      );
    } else if (effect.type === "invalidate") {
      const invalidation = this.#name();
      const { range, to } = effect;
      member.demands.set(invalidation, { range, term });
      this.#perform(
        member,
        member.client.handle({ type: "invalidate", invalidation, id: range.id, to, term }),
      );
    } else throw new BrokenPromiseError(`an honest request met ${effect.type}`);
    return true;
  }

  #perform(member: Member, effects: readonly LockClientEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "request": {
          const request = this.#name();
          member.asked.set(request, { range: effect.range, mode: effect.mode });
          member.toServer.push({ type: "ask", request });
          break;
        }
        case "settle":
          member.settles.push(effect.range);
          break;
        case "flush":
          member.flushes.push(effect);
          break;
        case "answer": {
          const demand = member.demands.get(effect.invalidation);
          member.demands.delete(effect.invalidation);
          if (demand !== undefined) member.toServer.push({ type: "answer", mode: effect.mode, ...demand });
          break;
        }
        case "decline":
          this.sightings.declined += 1;
          member.demands.delete(effect.invalidation);
          break;
        case "admit":
          if (!member.waits.delete(effect.waiter)) throw new BrokenPromiseError("nobody waited for this");
          this.#use(member, effect.lock, effect.mode);
          break;
        case "fail":
        case "reject-server":
          throw new BrokenPromiseError(`an honest server met ${effect.type}`);
      }
    }
  }

  #endFlush(member: Member): boolean {
    const [flush] = member.flushes.splice(this.#below(Math.max(1, member.flushes.length)), 1);
    if (flush === undefined) return false;
    const { range, to } = flush;
    if (member.dirty.has(range.id)) this.#record(member, range.id);
    if (to === "null") member.values.delete(range.id);
    this.#perform(member, member.client.handle({ type: "flushed", range }));
    return true;
  }

  #settle(member: Member): boolean {
    const range = member.settles.shift();
    if (range === undefined) return false;
    this.#perform(member, member.client.handle({ type: "settled", range }));
    return true;
  }

  #record(member: Member, id: string): void {
    this.#recorded.set(id, member.values.get(id) ?? 0);
    member.dirty.delete(id);
  }

  #use(member: Member, lock: LockState, mode: LockMode): void {
    this.sightings.admitted += 1;
    member.users.push({ lock, mode });
    const { id } = lock.range;
    for (const other of this.#members) {
      if (other === member) continue;
      const rivals = other.users.filter((user) => user.lock.range.id === id);
      if (rivals.some((rival) => mode === "write" || rival.mode === "write"))
        throw new BrokenPromiseError(`members ${member.rid} and ${other.rid} hold conflicting modes`);
    }
    if (mode === "write") {
      if (lock.writeSeq < (this.#tokens.get(id) ?? 0n))
        throw new BrokenPromiseError("a writer has an older token than a writer before it");
      this.#tokens.set(id, lock.writeSeq);
    }
    this.#look(member, id);
    if (mode === "write") this.#add(member, id);
  }

  /** The user looks, or writes, once more before it goes. */
  #endUse(member: Member): boolean {
    const [user] = member.users.splice(this.#below(Math.max(1, member.users.length)), 1);
    if (user === undefined) return false;
    this.#look(member, user.lock.range.id);
    if (user.mode === "write") this.#add(member, user.lock.range.id);
    this.#perform(member, member.client.release(user.lock, user.mode));
    return true;
  }

  #look(member: Member, id: string): void {
    const value = member.values.get(id) ?? this.#recorded.get(id) ?? 0;
    member.values.set(id, value);
    const expected = this.#added.get(id) ?? 0;
    if (value !== expected)
      throw new BrokenPromiseError(`member ${member.rid} sees ${value} additions of ${expected}`);
  }

  #add(member: Member, id: string): void {
    const next = (this.#added.get(id) ?? 0) + 1;
    this.#added.set(id, next);
    member.values.set(id, next);
    member.dirty.add(id);
  }

  #checkRest(): void {
    for (const { rid, client, waits } of this.#members) {
      const { userCount, waiterCount } = client.counts();
      if (waits.size + userCount + waiterCount > 0)
        throw new BrokenPromiseError(`member ${rid} still has ${waits.size} waiters, ${userCount} users`);
    }
    const { requestCount, invalidationCount } = this.#server.counts();
    if (requestCount + invalidationCount > 0)
      throw new BrokenPromiseError(`the server still has ${requestCount} requests`);
  }

  #name(): number {
    this.#lastName += 1;
    return this.#lastName;
  }

  #below(limit: number): number {
    return this.#random.u32() % limit;
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from.length === 0 ? undefined : from[this.#below(from.length)];
  }
}

function bigintText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
