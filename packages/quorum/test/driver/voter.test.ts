import { BLOCK_BYTES, NO_BROKEN_RULES } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import {
  DEFAULT_QUORUM_TIMING,
  DeposedError,
  type Leadership,
  type Voter,
  formatQuorum,
  readNewestRecord,
  readTermStatus,
  recordBlock,
  splitterBlock,
  startVoter,
} from "../../src/index.ts";
import { hintsOn, REGION, World } from "./world.ts";

interface Member {
  readonly voter: Voter;
  readonly won: Leadership[];
  readonly errors: unknown[];
}

function startMember(world: World, rid: bigint, votes = 1): Member {
  const [won, errors]: [Leadership[], unknown[]] = [[], []];
  const voter = startVoter(
    {
      region: REGION,
      rid,
      address: () => `unix:/member-${rid}`,
      votes: () => votes,
      timing: DEFAULT_QUORUM_TIMING,
      brokenRules: NO_BROKEN_RULES,
      onElected: (leadership) => won.push(leadership),
      onError: (error) => errors.push(error),
    },
    world.ports(),
  );
  return { voter, won, errors };
}

async function electOne(world: World): Promise<{ readonly member: Member; readonly leadership: Leadership }> {
  const member = startMember(world, 1n);
  await world.pass(600);
  const [leadership] = member.won;
  if (leadership === undefined) throw new Error("nobody was elected");
  return { member, leadership };
}

/** Runs a promise to its end while time passes; an error comes back as the value. */
async function outcomeOf<T>(world: World, promise: Promise<T>): Promise<T | Error> {
  const outcome = promise.catch((error: unknown) => error as Error);
  await world.pass(50);
  return outcome;
}

function termsOf(members: readonly Member[]): readonly bigint[] {
  return members.flatMap(({ won }) => won.map(({ term }) => term));
}

const PAYLOAD = new Uint8Array([9, 9]);

describe("voters", () => {
  test("a lone voter is the server within two election time-outs and goes on from the first record", async () => {
    const { leadership } = await electOne(new World());

    expect(leadership).toMatchObject({
      term: 2n,
      adopted: { term: 1n, seq: 1n, payload: new Uint8Array([1]) },
    });
  });

  test("of several that start together one becomes the server, and the others leave it alone", async () => {
    const world = new World();
    const members = [1n, 2n, 3n].map((rid) => startMember(world, rid, 2));
    // Sessions, as far as elections see them: from 150 ms after the election everybody hears the server.
    while (termsOf(members).length === 0) await world.pass(10);
    await world.pass(150);
    for (let beat = 0; beat < 50; beat += 1) {
      const [term] = termsOf(members);
      for (const { voter, won } of members) if (won.length === 0) voter.heard(term ?? 0n);
      await world.pass(100);
    }

    expect(termsOf(members)).toHaveLength(1);
    expect(world.now).toBeLessThan(6500);
    await stopAll(world, members);
  });

  test("a killed server is replaced within a second when the others hear it no more", async () => {
    const world = new World();
    const members = [1n, 2n, 3n].map((rid) => startMember(world, rid, 2));
    const serverOf = (): Member | undefined => members.find(({ won }) => won.length > 0);
    while (serverOf() === undefined) await world.pass(10);
    const dead = serverOf();
    const living = members.filter((member) => member !== dead);
    const term = dead?.won[0]?.term ?? 0n;
    for (let beat = 0; beat < 20; beat += 1) {
      for (const { voter } of living) voter.heard(term);
      await world.pass(100);
    }
    expect(termsOf(living)).toEqual([]);
    const stopping = dead?.voter.stop();
    await world.pass(10);
    await stopping;

    await world.pass(1000);

    expect(termsOf(living).length).toBeGreaterThanOrEqual(1);
    await stopAll(world, living);
  });

  test("one that stopped writes nothing more and is not elected (Q11)", async () => {
    const world = new World();
    const { voter, won } = startMember(world, 1n);
    await world.pass(350);
    const stopping = voter.stop();
    await world.pass(100);
    await stopping;
    const before = world.bytes.slice();

    await world.pass(2000);

    expect(won).toEqual([]);
    expect(Buffer.compare(world.bytes, before)).toBe(0);
  });

  test("one that is stopped amid an election ends it before it resolves, and is not elected", async () => {
    const world = new World();
    const { voter, won } = startMember(world, 1n);
    while (!world.logged.some((facts) => "event" in facts && facts.event === "election.started"))
      await world.pass(1);
    await world.pass(3);

    const stopping = voter.stop();
    await world.pass(100);
    await stopping;
    const before = world.bytes.slice();
    await world.pass(2000);

    expect(won).toEqual([]);
    expect(Buffer.compare(world.bytes, before)).toBe(0);
  });

  test("one that was elected goes on with its hints while its server is long in starting (Q5, Q18)", async () => {
    const world = new World();
    const { member } = await electOne(world);
    world.writesCount = 0;

    await world.pass(10 * DEFAULT_QUORUM_TIMING.heartbeatMs);

    expect(world.writesCount).toBe(10);
    expect(member.won).toHaveLength(1);
    await stopAll(world, [member]);
  });

  test("damage that could hide the newest record ends elections with its error, once", async () => {
    const world = new World();
    for (const copy of [0, 1] as const) world.damage(recordBlock(REGION, 1n, copy));
    const { won, errors } = startMember(world, 1n);

    await world.pass(5000);

    expect(won).toEqual([]);
    expect(errors).toMatchObject([{ code: "ERR_HOLDFAST_RECORD_CORRUPT" }]);
  });

  test("one that stops behind its reign still tells that it is over, though another hint was under way", async () => {
    const world = new World();
    const { member } = await electOne(world);
    world.writesCount = 0;
    while (world.writesCount === 0) await world.pass(0.5);

    member.voter.serving(false);
    await stopAll(world, [member]);

    const newest = hintsOn(world).reduce((a, b) => ((a?.counter ?? 0) > (b?.counter ?? 0) ? a : b));
    expect(newest).toMatchObject({ term: 2n, isServing: false });
  });

  test("a volume that was formatted under its voters is not written to by them any more, hints included", async () => {
    const world = new World();
    const { member, leadership } = await electOne(world);
    for (const { address, block } of formatQuorum({ ...REGION, fsid: 0xbeefn }, PAYLOAD))
      world.bytes.set(block, Number(address) * BLOCK_BYTES);

    expect(await outcomeOf(world, leadership.check())).toBeInstanceOf(DeposedError);
    member.voter.serving(false);
    await world.pass(2000);
    const before = world.bytes.slice();
    await world.pass(10_000);

    expect(member.errors).toMatchObject([{ code: "ERR_HOLDFAST_TERMS_FOREIGN" }]);
    expect(Buffer.compare(world.bytes, before)).toBe(0);
    await stopAll(world, [member]);
  });

  test("a term that could not be read at the start is not taken for one that was touched", async () => {
    const world = new World();
    const { member, leadership } = await electOne(world);
    await stopAll(world, [member]);
    const x3 = splitterBlock(REGION, 3n);
    world.badReads.add(x3);
    world.damage(x3 + 2n);
    const successor = startMember(world, 2n);
    await world.pass(100);
    world.badReads.clear();

    await world.pass(2000);

    expect(successor.won).toMatchObject([{ term: 3n }]);
    expect(await outcomeOf(world, leadership.check())).toBeInstanceOf(DeposedError);
    await stopAll(world, [successor]);
  });

  test("a claim that the device refuses is tried again later, at a term that can be had", async () => {
    const world = new World();
    world.badWrites.add(splitterBlock(REGION, 2n));
    const { won, errors } = startMember(world, 1n);
    await world.pass(700);
    expect(won).toEqual([]);
    world.badWrites.clear();

    await world.pass(3000);

    expect(won).toHaveLength(1);
    expect(errors).toEqual([]);
  });
});

describe("a leadership", () => {
  test("commits in order, and its newest record shows where it listens", async () => {
    const world = new World();
    const { leadership } = await electOne(world);

    expect(await outcomeOf(world, leadership.commit(PAYLOAD, "unix:/a"))).toBe(1n);
    expect(await outcomeOf(world, leadership.commit(PAYLOAD, "unix:/b"))).toBe(2n);

    const record = { term: 2n, seq: 2n, writer: 1n, address: "unix:/b", payload: PAYLOAD };
    expect(await outcomeOf(world, readNewestRecord(REGION, world.ports()))).toEqual(record);
    expect(await outcomeOf(world, readNewestRecord(REGION, world.ports(), 2n))).toEqual(record);
  });

  test("one check covers all who asked before it began, and a later one waits for its own", async () => {
    const world = new World();
    const { member, leadership } = await electOne(world);
    await stopAll(world, [member]);
    world.readsCount = 0;

    const all = Promise.all([leadership.check(), leadership.check(), leadership.check()]);
    await Promise.resolve();
    await Promise.resolve();
    const later = leadership.check();
    await outcomeOf(world, Promise.all([all, later]));

    expect(world.readsCount).toBe(2);
  });

  test("a second commit while one is in flight is a bug", async () => {
    const world = new World();
    const { leadership } = await electOne(world);
    const first = leadership.commit(PAYLOAD, "");

    await expect(leadership.commit(PAYLOAD, "")).rejects.toThrow("one record is in flight");
    expect(await outcomeOf(world, first)).toBe(1n);
  });

  test("once a later term is announced, commits and checks are refused for ever and nothing is written (Q16)", async () => {
    const world = new World();
    const { member, leadership } = await electOne(world);
    await stopAll(world, [member]);
    const successor = startMember(world, 2n);
    await world.pass(1000);
    expect(successor.won).toHaveLength(1);
    await stopAll(world, [successor]);

    const refused = await outcomeOf(world, leadership.commit(PAYLOAD, ""));
    expect(refused).toBeInstanceOf(DeposedError);
    const before = world.bytes.slice();

    expect(await outcomeOf(world, leadership.check())).toBe(refused);
    expect(await outcomeOf(world, leadership.commit(PAYLOAD, ""))).toBe(refused);
    expect(Buffer.compare(world.bytes, before)).toBe(0);
  });

  test("a record that could not be written is the last one", async () => {
    const world = new World();
    const { leadership } = await electOne(world);
    world.badWrites.add(recordBlock(REGION, 2n, 1));

    const failed = await outcomeOf(world, leadership.commit(PAYLOAD, ""));
    world.badWrites.clear();

    expect(failed).toMatchObject({ code: "ERR_HOLDFAST_RECORD_WRITE" });
    expect(await outcomeOf(world, leadership.commit(PAYLOAD, ""))).toBe(failed);
    expect(await outcomeOf(world, leadership.check())).toBe(failed);
  });

  test("a payload that is too long is refused and the next commit goes on", async () => {
    const world = new World();
    const { leadership } = await electOne(world);

    expect(await outcomeOf(world, leadership.commit(new Uint8Array(5000), ""))).toBeInstanceOf(RangeError);
    expect(await outcomeOf(world, leadership.commit(PAYLOAD, ""))).toBe(1n);
  });
});

test("a device whose hints cannot be read is told at once, then once a minute with what was left out", async () => {
  const world = new World();
  for (let block = REGION.hintsBlock; block < REGION.hintsBlock + BigInt(REGION.hintsCount); block += 1n)
    world.badReads.add(block);
  const member = startMember(world, 1n);

  await world.pass(90_000);

  const lines = world.logged.filter((facts) => "event" in facts && facts.event === "hints.read-failed");
  expect(lines).toHaveLength(2);
  expect(lines[0]).not.toHaveProperty("leftOutCount");
  expect(lines[1]).toMatchObject({ leftOutCount: expect.any(Number) as number });
  await stopAll(world, [member]);
});

describe("the status of a term", () => {
  test("costs three reads at once and tells the newest record", async () => {
    const world = new World();
    const { member, leadership } = await electOne(world);
    await stopAll(world, [member]);
    await outcomeOf(world, leadership.commit(PAYLOAD, "unix:/a"));
    world.readsCount = 0;

    const status = await outcomeOf(world, readTermStatus(REGION, world.ports(), 2n));

    expect(status).toMatchObject({ isSuperseded: false, record: { term: 2n, seq: 1n } });
    expect(world.readsCount).toBe(3);
  });

  test("comes from copy 1 where copy 0 is damaged or cannot be read", async () => {
    for (const spoil of ["damage", "bad"] as const) {
      const world = new World();
      const { leadership } = await electOne(world);
      await outcomeOf(world, leadership.commit(PAYLOAD, "unix:/a"));
      if (spoil === "damage") world.damage(recordBlock(REGION, 2n, 0));
      else world.badReads.add(recordBlock(REGION, 2n, 0));

      expect(await outcomeOf(world, readTermStatus(REGION, world.ports(), 2n))).toMatchObject({
        isSuperseded: false,
        record: { term: 2n, seq: 1n },
      });
    }
  });

  test.each([0, 1] as const)("is the newest where the device lost the write of copy %i", async (copy) => {
    const world = new World();
    const { leadership } = await electOne(world);
    await outcomeOf(world, leadership.commit(PAYLOAD, "unix:/a"));
    const place = Number(recordBlock(REGION, 2n, copy)) * BLOCK_BYTES;
    const before = world.bytes.slice(place, place + 2 * BLOCK_BYTES);
    await outcomeOf(world, leadership.commit(PAYLOAD, "unix:/a"));
    world.bytes.set(before, place);

    expect(await outcomeOf(world, readTermStatus(REGION, world.ports(), 2n))).toMatchObject({
      record: { term: 2n, seq: 2n },
      isDamaged: false,
    });
  });

  test("comes from a record that a device wrote over its own other copy", async () => {
    const world = new World();
    const { leadership } = await electOne(world);
    const [place, other] = [recordBlock(REGION, 2n, 0), recordBlock(REGION, 2n, 1)].map(
      (block) => Number(block) * BLOCK_BYTES,
    ) as [number, number];
    const before = world.bytes.slice(other, other + BLOCK_BYTES);
    await outcomeOf(world, leadership.commit(PAYLOAD, "unix:/a"));
    world.bytes.copyWithin(place, other, other + BLOCK_BYTES);
    world.bytes.set(before, other);

    expect(await outcomeOf(world, readTermStatus(REGION, world.ports(), 2n))).toMatchObject({
      record: { term: 2n, seq: 1n },
    });
  });

  test("is superseded by a later announcement", async () => {
    const world = new World();
    await electOne(world);

    expect(await outcomeOf(world, readTermStatus(REGION, world.ports(), 1n))).toMatchObject({
      isSuperseded: true,
      record: { term: 1n, seq: 1n, address: "" },
    });
  });
});

async function stopAll(world: World, members: readonly Member[]): Promise<void> {
  const stopping = Promise.all(members.map(({ voter }) => voter.stop()));
  await world.pass(20);
  await stopping;
}
