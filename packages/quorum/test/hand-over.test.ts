/*
 * Campaigns against a server that is over for certain: it resigned, or its process is known to be dead.
 */
import { describe, expect, test } from "vitest";
import { Campaign, type CampaignEffect, DEFAULT_QUORUM_TIMING, type Hint } from "../src/index.ts";

const HEARTBEAT_MS = DEFAULT_QUORUM_TIMING.heartbeatMs;
const TERM = 5n;

interface Seen {
  readonly at: number;
  readonly effect: CampaignEffect;
}

interface Others {
  (now: number): readonly Hint[];
}

/** One voter among others, whose hints are the test's. */
class Voter {
  readonly campaign: Campaign;
  readonly seen: Seen[] = [];
  readonly #others: Others;
  #votes: number;

  constructor(options: { readonly rid?: bigint; readonly votes?: number; readonly others?: Others } = {}) {
    const { rid = 10n, votes = 1, others = (): readonly Hint[] => [] } = options;
    this.#votes = votes;
    this.#others = others;
    const terms = { first: 1n, last: 100n };
    const timing = DEFAULT_QUORUM_TIMING;
    this.campaign = new Campaign({ rid, votes: () => this.#votes, timing, terms, hearsByHints: false }, 0);
  }

  setVotes(votes: number): void {
    this.#votes = votes;
  }

  /** Hears the server at each heartbeat up to `until`. */
  hear(until: number): this {
    for (let now = 0; now <= until; now += HEARTBEAT_MS) {
      this.live(now, now);
      this.campaign.handle({ type: "heard", term: TERM }, now);
    }
    return this.live(until, until);
  }

  over(term: bigint, now: number, random = 0.5): this {
    return this.#take(this.campaign.handle({ type: "over", term, random }, now), now);
  }

  live(from: number, to: number): this {
    for (
      let now = Math.max(from, this.campaign.deadline);
      now <= to;
      now = Math.max(now + 0.01, this.campaign.deadline)
    )
      this.#take(this.campaign.handle({ type: "tick", random: 0.5 }, now), now);
    return this;
  }

  get attemptAt(): number | undefined {
    return this.seen.find(({ effect }) => effect.type === "attempt")?.at;
  }

  #take(effects: readonly CampaignEffect[], now: number): this {
    for (const effect of effects) {
      this.seen.push({ at: now, effect });
      if (effect.type !== "read-hints") continue;
      this.#take(this.campaign.handle({ type: "hints", hints: this.#others(now), random: 0.5 }, now), now);
    }
    return this;
  }
}

function hintOf(rid: bigint, more: Partial<Hint>): Hint {
  return { rid, term: TERM, counter: 1, reachesServer: false, isServing: false, address: "", ...more };
}

const beat = (now: number): number => Math.floor(now / HEARTBEAT_MS);
/** The server's last hint: nobody takes it back. */
const LAST_OF_SERVER = hintOf(1n, { counter: 99, reachesServer: true, isServing: true });

describe("when the server resigns", () => {
  test("a voter tells the others and reads their hints at once, and campaigns at once when no vote is missing", () => {
    const voter = new Voter({ others: () => [LAST_OF_SERVER] }).hear(1000);

    const before = voter.seen.length;
    voter.over(TERM, 1010);

    expect(voter.seen.slice(before)).toEqual([
      {
        at: 1010,
        effect: {
          type: "write-hint",
          hint: expect.objectContaining({ reachesServer: false, term: TERM }) as Hint,
        },
      },
      { at: 1010, effect: { type: "read-hints" } },
      { at: 1010, effect: { type: "attempt", fromTerm: TERM, yieldAbove: TERM } },
    ]);
  });

  test("the voter with the smallest rid goes first, the others one to one and a half heartbeats later", () => {
    const elder = (): readonly Hint[] => [LAST_OF_SERVER, hintOf(2n, { counter: 7, reachesServer: true })];
    const younger = (): readonly Hint[] => [LAST_OF_SERVER, hintOf(20n, { counter: 7, reachesServer: true })];

    const second = new Voter({ others: elder }).hear(1000).over(TERM, 1010).live(1010, 2000);
    const first = new Voter({ others: younger }).hear(1000).over(TERM, 1010).live(1010, 2000);

    expect(first.attemptAt).toBe(1010);
    expect(second.attemptAt).toBeGreaterThanOrEqual(1010 + HEARTBEAT_MS);
    expect(second.attemptAt).toBeLessThanOrEqual(1010 + 1.5 * HEARTBEAT_MS);
  });

  test("the votes are needed all the same, and are there within two heartbeats", () => {
    const others = (now: number): readonly Hint[] => [
      LAST_OF_SERVER,
      hintOf(20n, { counter: beat(now), reachesServer: now < 1030 }),
    ];

    expect(
      new Voter({ votes: 2, others }).hear(1000).over(TERM, 1010).live(1010, 5000).attemptAt,
    ).toBeLessThan(1010 + 2 * HEARTBEAT_MS);
    expect(
      new Voter({ votes: 3, others }).hear(1000).over(TERM, 1010).live(1010, 5000).attemptAt,
    ).toBeUndefined();
  });

  test("a voter that says for the first time that this server is out of reach counts at once", () => {
    const others = (): readonly Hint[] => [LAST_OF_SERVER, hintOf(20n, { counter: 40 })];

    expect(new Voter({ votes: 2, others }).hear(1000).over(TERM, 1010).attemptAt).toBe(1010);
  });

  test("voters that still say that they reach it do not hold the others back", () => {
    const others = (now: number): readonly Hint[] =>
      [20n, 21n, 22n].map((rid) => hintOf(rid, { counter: beat(now), reachesServer: true }));

    expect(new Voter({ others }).hear(1000).over(TERM, 1010).attemptAt).toBe(1010);
  });

  test("frames of it that come late do not bring it back", () => {
    const voter = new Voter({ votes: 2, others: (now) => [hintOf(20n, { counter: beat(now) })] });
    voter.hear(1000).over(TERM, 1010);

    voter.campaign.handle({ type: "heard", term: TERM }, 1011);

    expect(voter.live(1011, 1300).attemptAt).toBeDefined();
  });

  test("a voter that already sees its successor leaves that one alone", () => {
    const others = (now: number): readonly Hint[] => [
      hintOf(20n, { term: TERM + 1n, counter: beat(now), reachesServer: true, isServing: true }),
    ];

    expect(new Voter({ others }).hear(1000).over(TERM, 1010).live(1010, 3000).attemptAt).toBeUndefined();
  });

  test("it is not itself the first to follow", () => {
    const voter = new Voter();
    voter.campaign.handle({ type: "attempt-ended", result: "elected", term: TERM, random: 0 }, 100);
    voter.over(TERM, 200);
    voter.campaign.handle({ type: "serving", isServing: false }, 200);

    expect(voter.live(200, 2000).attemptAt).toBeGreaterThanOrEqual(
      200 + DEFAULT_QUORUM_TIMING.electionTimeoutMs,
    );
  });

  test("its hint says so to a voter that hears nothing else, sooner than its silence would", () => {
    const others = (now: number): readonly Hint[] => [
      now < 1260 ? { ...LAST_OF_SERVER, counter: beat(now) } : hintOf(1n, { counter: 1000 }),
    ];

    const { attemptAt } = new Voter({ others }).hear(1000).live(1000, 3000);

    expect(attemptAt).toBeGreaterThanOrEqual(1260);
    expect(attemptAt).toBeLessThan(1000 + DEFAULT_QUORUM_TIMING.electionTimeoutMs);
  });
});

test("what an older server has said, or a term that cannot be, is no evidence", () => {
  const voter = new Voter({ others: () => [] }).hear(1000);

  voter
    .over(TERM - 1n, 1010)
    .over(101n, 1010)
    .live(1010, 1300);

  expect(voter.attemptAt).toBeUndefined();
});

test("the number of votes may change at any time", () => {
  const voter = new Voter({ votes: 3, others: (now) => [hintOf(20n, { counter: beat(now) })] });
  expect(voter.live(0, 3000).attemptAt).toBeUndefined();

  voter.setVotes(2);

  expect(voter.live(3000, 4000).attemptAt).toBeDefined();
});

test("a voter that was not there at the reading just before is alive", () => {
  const others = (now: number): readonly Hint[] => (now < 500 ? [] : [hintOf(20n, { counter: 3 })]);

  expect(new Voter({ votes: 2, others }).live(0, 2000).attemptAt).toBeLessThanOrEqual(600);
});

test("hints that cannot be read are no reading: nobody campaigns blindly", () => {
  const voter = new Voter();
  let reads = 0;
  for (let now = 0; now < 5000; now = voter.campaign.deadline) {
    const effects = voter.campaign.handle({ type: "tick", random: 0.5 }, now);
    expect(effects.some(({ type }) => type === "attempt")).toBe(false);
    if (!effects.some(({ type }) => type === "read-hints")) continue;
    reads += 1;
    voter.campaign.handle({ type: "hints-unreadable" }, now);
  }

  expect(reads).toBeGreaterThan(5);
  expect(reads).toBeLessThan(20);
});
