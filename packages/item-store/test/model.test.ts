/*
 * Stores beside a model: two members, random work, and a crash that the replay must mend.
 */
import { deepStrictEqual } from "node:assert/strict";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { datasetRange, lockRangeOf } from "../src/index.ts";
import { DATASET, type Member, Server, contents, fromText, key, openMember, text } from "./world.ts";

const WHOLE = datasetRange(DATASET);
const name = fc
  .tuple(fc.constantFrom("a", "b", "c"), fc.nat(4))
  .map(([letter, number]) => `${letter}${number}`);

const commands = [
  "write",
  "write",
  "write",
  "delete",
  "read",
  "read",
  "swap",
  "swap",
  "scan",
  "flush",
] as const;
const step = fc.record({
  member: fc.nat(1),
  type: fc.constantFrom(...commands, ...commands, "invalidate", "compact", "crash"),
  names: fc.array(name, { minLength: 2, maxLength: 4 }),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** Two members on one volume, and a map that says what they must hold. */
class World {
  readonly #server: Server = new Server(16 * 1024 * 1024);
  readonly #model: Map<string, string> = new Map();
  readonly #cacheBytes: number;
  readonly #members: Member[];
  #ridCount = 10n;
  #writeCount = 0;

  constructor(cacheBytes: number) {
    this.#cacheBytes = cacheBytes;
    this.#members = [this.#join(), this.#join()];
  }

  async take({ member: index, type, names }: Step): Promise<void> {
    const member = this.#members[index] as Member;
    const { store } = member;
    switch (type) {
      case "write":
        return await this.#write(member, names);
      case "delete":
        for (const each of names) this.#model.delete(each);
        return await store.transact(names.map((each) => ({ key: key(each) })));
      case "read":
        return await this.#read(member, names);
      case "swap":
        return await this.#swap(member, names as [string, string]);
      case "scan":
        return await this.#scan(member, names);
      case "flush":
        return await store.flush();
      case "invalidate":
        return await store.invalidate(lockRangeOf(key(names[0] ?? "")), "read");
      case "compact":
        return await this.#server.compact();
      case "crash":
        await this.#server.bury(member.rid, member.journal);
        this.#members[index] = this.#join();
    }
  }

  /** What each member holds, and what it must hold. */
  async compare(): Promise<{ readonly found: unknown; readonly expected: unknown }> {
    const found = await Promise.all(this.#members.map(({ store }) => contents(store, WHOLE)));
    return { found, expected: this.#members.map(() => this.#ordered()) };
  }

  #join(): Member {
    this.#ridCount += 1n;
    const options = { readCacheBytesMax: this.#cacheBytes, blockCacheBytesMax: this.#cacheBytes };
    return openMember(this.#server, this.#ridCount, { halfBlocks: 16, ...options });
  }

  async #write({ store }: Member, names: readonly string[]): Promise<void> {
    this.#writeCount += 1;
    const value = String(this.#writeCount).padEnd(this.#writeCount % 7 === 0 ? 5000 : 3, ".");
    await store.transact(names.map((each) => ({ key: key(each), value: text(value) })));
    for (const each of names) this.#model.set(each, value);
  }

  async #read({ store }: Member, names: readonly string[]): Promise<void> {
    for (const each of names) {
      const warm = store.tryGet(key(each));
      if (warm !== undefined) deepStrictEqual(fromText(warm.value), this.#model.get(each));
      deepStrictEqual(fromText(await store.get(key(each))), this.#model.get(each));
    }
  }

  async #swap({ store }: Member, [one, other]: readonly [string, string]): Promise<void> {
    await store.transaction(async (tx) => {
      const [a, b] = [await tx.get(key(one)), await tx.get(key(other))];
      if (b === undefined) tx.del(key(one));
      else tx.put(key(one), b);
      if (a === undefined) tx.del(key(other));
      else tx.put(key(other), a);
    });
    const [a, b] = [this.#model.get(one), this.#model.get(other)];
    if (b === undefined) this.#model.delete(one);
    else this.#model.set(one, b);
    if (a === undefined) this.#model.delete(other);
    else this.#model.set(other, a);
  }

  async #scan({ store }: Member, names: readonly string[]): Promise<void> {
    const [start, end] = names.toSorted() as [string, string];
    const expected = this.#ordered().filter(([each]) => each >= start && each <= end);
    const range = { start: key(start), end: key(end) };
    deepStrictEqual(await contents(store, range, { pageItemsMax: 2 }), expected);
    deepStrictEqual(await contents(store, range, { isReverse: true }), expected.toReversed());
  }

  #ordered(): [string, string][] {
    return [...this.#model].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

test("two members that share a volume are one sorted map, whatever they do, and whichever dies", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 50 }),
      fc.constantFrom(0, 1 << 20),
      async (steps, cacheBytes) => {
        const world = new World(cacheBytes);
        for (const each of steps) await world.take(each);
        const { found, expected } = await world.compare();
        expect(found).toEqual(expected);
      },
    ),
    { numRuns: 40 },
  );
});

test("whatever write to the device is the last, replay gives what was acknowledged and at most the group under way", async () => {
  const run = async (crashAt: number): Promise<number> => {
    const server = new Server(16 * 1024 * 1024);
    const member = openMember(server, 11n, { halfBlocks: 16 });
    let writeCount = 0;
    server.device.onWrite = (block, bytes) => {
      writeCount += 1;
      if (writeCount < crashAt) return;
      // The crash tears this write: some of its first blocks arrive, and nothing after it.
      if (writeCount === crashAt)
        server.device.bytes.set(bytes.subarray(0, 4096 * (crashAt % 3)), Number(block) * 4096);
      throw new Error("crashed");
    };
    const acknowledged: string[] = [];
    let pending = "";
    try {
      for (let n = 0; n < 30; n += 1) {
        pending = `k${100 + n}`;
        const value = new Uint8Array(n % 5 === 0 ? 5000 : 100).fill(n);
        await member.store.transact([
          { key: key(pending), value },
          { key: key(`x${pending}`), value },
        ]);
        acknowledged.push(pending);
        if (n === 12) await member.store.flush();
      }
      pending = "";
    } catch {
      // The crash; what was acknowledged before it is what counts.
    }
    server.device.onWrite = () => {};
    await server.bury(11n, member.journal);
    const survivor = openMember(server, 12n);
    const found = (await contents(survivor.store, WHOLE)).map(([each]) => each);
    const both = (names: string[]): string[] => [...names, ...names.map((each) => `x${each}`)];
    expect([both(acknowledged), both([...acknowledged, pending])]).toContainEqual(found);
    return writeCount;
  };

  const whole = await run(Infinity);
  expect(whole).toBeGreaterThan(30);
  for (let crashAt = 1; crashAt <= whole; crashAt += 1) await run(crashAt);
});
