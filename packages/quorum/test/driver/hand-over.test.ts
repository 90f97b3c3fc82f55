import { NO_BROKEN_RULES } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import {
  DEFAULT_QUORUM_TIMING,
  type Leadership,
  lastTerm,
  type QuorumTiming,
  startVoter,
  type Voter,
  type VoterOptions,
} from "../../src/index.ts";
import { REGION, World } from "./world.ts";

const HEARTBEAT_MS = DEFAULT_QUORUM_TIMING.heartbeatMs;

interface Member {
  readonly rid: bigint;
  readonly voter: Voter;
  readonly won: Leadership[];
  readonly errors: unknown[];
  isDead: boolean;
}

function join(world: World, rid: bigint, options: Partial<VoterOptions> = {}): Member {
  const [won, errors]: [Leadership[], unknown[]] = [[], []];
  const voter = startVoter(
    {
      region: REGION,
      rid,
      address: () => `unix:/member-${rid}`,
      votes: () => 2,
      timing: DEFAULT_QUORUM_TIMING,
      brokenRules: NO_BROKEN_RULES,
      onElected: (leadership) => won.push(leadership),
      onError: (error) => errors.push(error),
      ...options,
    },
    world.ports(),
  );
  return { rid, voter, won, errors, isDead: false };
}

/** Members with sessions, as far as elections see them: everybody hears the server of the greatest term. */
class Cluster {
  readonly world: World = new World();
  readonly members: Member[];

  constructor(rids: readonly bigint[]) {
    this.members = rids.map((rid) => join(this.world, rid));
  }

  get server(): Member {
    const [server] = this.members
      .filter(({ won, isDead }) => won.length > 0 && !isDead)
      .sort((a, b) => Number(termOf(b) - termOf(a)));
    if (server === undefined) throw new Error("there is no server");
    return server;
  }

  async serve(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += HEARTBEAT_MS / 2) {
      const server = this.members.find(({ won, isDead }) => won.length > 0 && !isDead);
      if (server !== undefined)
        for (const member of this.members) if (member.won.length === 0) member.voter.heard(termOf(server));
      await this.world.pass(HEARTBEAT_MS / 2);
    }
  }

  get living(): readonly Member[] {
    return this.members.filter(({ isDead }) => !isDead);
  }
}

function termOf({ won }: Member): bigint {
  return won.at(-1)?.term ?? 0n;
}

async function kill(world: World, member: Member): Promise<void> {
  member.isDead = true;
  const stopped = member.voter.stop();
  await world.pass(5);
  await stopped;
}

describe.each([
  [3, [1n, 2n, 3n]],
  [5, [11n, 7n, 3n, 5n, 9n]],
  [9, [8n, 1n, 6n, 3n, 5n, 7n, 4n, 9n, 2n]],
])("among %i voters", (_count, rids) => {
  test("the successor of a server that resigns serves within two heartbeats, and hardly a term is burnt", async () => {
    const cluster = new Cluster(rids);
    await cluster.serve(3000);
    const { world, server } = cluster;
    const term = termOf(server);
    // As members do it: the voter stops, the last record has no address, the sessions tell everybody.
    await kill(world, server);
    await Promise.all([server.won[0]?.commit(new Uint8Array(0), ""), world.pass(10)]);

    for (const { voter } of cluster.living) voter.over(term);
    await world.pass(2 * HEARTBEAT_MS - 10);

    const successor = cluster.server;
    await Promise.all([successor.won[0]?.commit(new Uint8Array([7]), "unix:/next"), world.pass(10)]);
    expect(termOf(successor)).toBeGreaterThan(term);
    expect(termOf(successor)).toBeLessThanOrEqual(term + 2n);
    expect(cluster.living.filter((member) => termOf(member) > term)).toEqual([successor]);
    expect(cluster.living.flatMap(({ errors }) => errors)).toEqual([]);
  });

  test("one of them who knows that the server's process is gone follows before the others miss it", async () => {
    const cluster = new Cluster(rids);
    await cluster.serve(3000);
    const { world, server } = cluster;
    const term = termOf(server);
    await kill(world, server);
    const [witness] = cluster.living;

    witness?.voter.over(term);
    await world.pass(2 * HEARTBEAT_MS);

    expect(cluster.server).toBe(witness);
    expect(termOf(cluster.server)).toBe(term + 1n);
  });
});

test("of voters that start together one wins one term, however often they start anew", async () => {
  const world = new World();
  for (let round = 1n; round <= 10n; round += 1n) {
    const members = [4n, 2n, 9n, 7n].map((rid) => join(world, round * 100n + rid));
    await world.pass(600);

    const won = members.flatMap((member) => member.won);
    expect(won.map(({ term }) => term)).toEqual([1n + round]);
    await Promise.all([won[0]?.commit(new Uint8Array(0), "unix:/server"), world.pass(10)]);
    for (const member of members) await kill(world, member);
  }
});

test("knowing that the server is gone does not stand in for the votes", async () => {
  const cluster = new Cluster([1n, 2n]);
  await cluster.serve(3000);
  const { world, server } = cluster;
  await kill(world, server);

  for (const { voter } of cluster.living) voter.over(termOf(server));
  await world.pass(60_000);

  expect(cluster.living.flatMap(({ won }) => won)).toEqual([]);
});

test("all voters may be killed at once: those who come back, in any number that has the votes, go on", async () => {
  const cluster = new Cluster([1n, 2n, 3n, 4n, 5n]);
  await cluster.serve(2000);
  const term = termOf(cluster.server);
  for (const member of cluster.members) await kill(cluster.world, member);

  const back = [join(cluster.world, 21n), join(cluster.world, 22n)];
  await cluster.world.pass(2000);

  expect(back.flatMap(({ won }) => won.map((leadership) => leadership.term > term))).toContain(true);
});

test("leadership that flaps burns no more terms than the least time between servers allows", async () => {
  const world = new World();
  const timing: QuorumTiming = { ...DEFAULT_QUORUM_TIMING, flapHoldMaxMs: 10_000 };
  const member = join(world, 1n, { votes: () => 1, timing });
  const resignAtOnce = async (): Promise<void> => {
    await world.pass(100);
    if (member.won.length === 0) return;
    member.won.length = 0;
    terms += 1;
    member.voter.serving(false);
  };
  let terms = 0;
  for (let tick = 0; tick < 1200; tick += 1) await resignAtOnce();

  // Sixteen at once, seven while the time doubles, then one per ten seconds.
  expect(terms).toBeGreaterThan(20);
  expect(terms).toBeLessThan(36);
}, 20_000);

test("the terms are told to run out at 50, 80 and 95 percent, and their end is an error", async () => {
  const world = new World();
  const timing: QuorumTiming = { ...DEFAULT_QUORUM_TIMING, flapHoldMaxMs: 0 };
  const member = join(world, 1n, { votes: () => 1, timing });
  for (let tick = 0; tick < 2000 && member.errors.length === 0; tick += 1) {
    await world.pass(100);
    if (member.won.length > 0) member.voter.serving(false);
  }

  expect(member.won.at(-1)?.term).toBe(lastTerm(REGION));
  expect(member.errors).toMatchObject([{ code: "ERR_HOLDFAST_TERMS_EXHAUSTED", facts: { termsMax: 64 } }]);
  const warnings = world.logged.filter((facts) => "event" in facts && facts.event === "terms.low");
  const levels = warnings.map((facts) => ("passedPercent" in facts ? facts.passedPercent : undefined));
  expect([...new Set(levels)]).toEqual([50, 80, 95, 100]);
  expect(levels.indexOf(80)).toBe(52 - 32);
}, 20_000);
