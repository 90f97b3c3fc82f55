import { describe, expect, test } from "vitest";
import { Campaign, type CampaignEffect, DEFAULT_QUORUM_TIMING, type Hint } from "../src/index.ts";

const ATTEMPT = "attempt";

function newCampaign(votes: number): Campaign {
  const terms = { first: 1n, last: 100n };
  return new Campaign(
    { rid: 1n, votes: () => votes, timing: DEFAULT_QUORUM_TIMING, terms, hearsByHints: false },
    0,
  );
}

function hintOf(rid: bigint, counter: number, more: Partial<Hint> = {}): Hint {
  return { rid, term: 0n, counter, reachesServer: false, isServing: false, address: "", ...more };
}

/** Lets time pass; the hints of the others are what `others` says at each reading. */
function live(
  campaign: Campaign,
  from: number,
  to: number,
  others: (now: number) => readonly Hint[] = () => [],
): readonly { readonly at: number; readonly effect: CampaignEffect }[] {
  const seen: { at: number; effect: CampaignEffect }[] = [];
  for (
    let now = Math.max(from, campaign.deadline);
    now <= to;
    now = Math.max(now + 0.01, campaign.deadline)
  ) {
    for (const effect of campaign.handle({ type: "tick", random: 0.5 }, now)) {
      seen.push({ at: now, effect });
      if (effect.type !== "read-hints") continue;
      for (const next of campaign.handle({ type: "hints", hints: others(now), random: 0.5 }, now))
        seen.push({ at: now, effect: next });
    }
  }
  return seen;
}

function attemptAt(seen: ReturnType<typeof live>): number | undefined {
  return seen.find(({ effect }) => effect.type === ATTEMPT)?.at;
}

const beat = (now: number): number => Math.floor(now / 100);

describe("a voter that is alone where two must agree", () => {
  const shortages = (seen: ReturnType<typeof live>): readonly (readonly [number, CampaignEffect])[] =>
    seen.flatMap(({ at, effect }) => (effect.type === "short-of-votes" ? [[at, effect] as const] : []));

  test("says so when nobody has served for long, and how many it takes", () => {
    const [first] = shortages(live(newCampaign(2), 0, 5000));

    expect(first?.[0]).toBeGreaterThan(4 * DEFAULT_QUORUM_TIMING.electionTimeoutMs);
    expect(first?.[1]).toEqual({ type: "short-of-votes", missing: 1, votes: 2 });
  });

  test("says nothing while another one reaches a server: votes are not what it lacks", () => {
    const others = (now: number): readonly Hint[] => [hintOf(2n, beat(now), { reachesServer: true })];

    expect(shortages(live(newCampaign(2), 0, 5000, others))).toEqual([]);
  });
});

describe("hints", () => {
  test("one is written at once and then at every heartbeat", () => {
    const campaign = newCampaign(2);

    const hints = live(campaign, 0, 350).filter(({ effect }) => effect.type === "write-hint");

    expect(hints.map(({ at }) => Math.round(at))).toEqual([0, 100, 200, 300]);
    expect(hints[0]?.effect).toEqual({
      type: "write-hint",
      hint: { rid: 1n, term: 0n, counter: 1, reachesServer: false, isServing: false },
    });
  });

  test("that the server fell silent is told at once, not at the next heartbeat", () => {
    const campaign = newCampaign(2);
    live(campaign, 0, 50);
    campaign.handle({ type: "heard", term: 3n }, 50);

    const said = live(campaign, 50, 470).flatMap(({ at, effect }) =>
      effect.type === "write-hint" ? [[Math.round(at), effect.hint.reachesServer]] : [],
    );

    expect(said).toContainEqual([450, false]);
  });

  test("while the server is heard nobody reads them", () => {
    const campaign = newCampaign(1);
    const reads: number[] = [];
    for (let now = 0; now < 2000; now += 50) {
      campaign.handle({ type: "heard", term: 3n }, now);
      for (const { at, effect } of live(campaign, now, now + 49))
        if (effect.type === "read-hints") reads.push(at);
    }

    expect(reads).toEqual([]);
  });
});

test("a tick at the deadline always moves the deadline on, whatever the clock's fractions", () => {
  for (let part = 0; part < 500; part += 1) {
    const heardAt = 1000 + part * 19.4;
    const campaign = newCampaign(2);
    live(campaign, 0, 50);
    campaign.handle({ type: "heard", term: 3n }, heardAt);
    for (let tick = 0; tick < 8; tick += 1) {
      const due = campaign.deadline;
      const effects = campaign.handle({ type: "tick", random: 0.3 }, due);
      if (effects.some(({ type }) => type === "read-hints"))
        campaign.handle({ type: "hints", hints: [], random: 0.5 }, due);
      expect(campaign.deadline).toBeGreaterThan(due);
    }
  }
});

describe("a campaign begins", () => {
  test("when the only voter has missed the server for the time-out, within a back-off", () => {
    const at = attemptAt(live(newCampaign(1), 0, 1000));

    expect(at).toBeGreaterThanOrEqual(400);
    expect(at).toBeLessThanOrEqual(500);
  });

  test("at the last server's term, which is known to be touched", () => {
    const campaign = newCampaign(1);
    campaign.handle({ type: "heard", term: 7n }, 0);

    expect(live(campaign, 0, 600)).toContainEqual(
      expect.objectContaining({ effect: { type: "attempt", fromTerm: 7n, yieldAbove: 7n } }),
    );
  });

  test("at the term that a survey found: a newcomer yields to a rival that is past it", () => {
    const campaign = newCampaign(1);
    campaign.handle({ type: "surveyed", term: 12n }, 10);

    expect(live(campaign, 0, 600)).toContainEqual(
      expect.objectContaining({ effect: { type: "attempt", fromTerm: 12n, yieldAbove: 12n } }),
    );
  });

  test("when as many fresh voters as are needed miss the server too", () => {
    const others = (now: number): Hint[] => [hintOf(2n, beat(now))];

    expect(attemptAt(live(newCampaign(2), 0, 1000, others))).toBeDefined();
    expect(attemptAt(live(newCampaign(3), 0, 3000, others))).toBeUndefined();
  });

  test("never on the word of a voter whose counter stands still", () => {
    expect(attemptAt(live(newCampaign(2), 0, 3000, () => [hintOf(2n, 77)]))).toBeUndefined();
  });

  test("never against as many who reach the server, its own hint included (Q10)", () => {
    const one = (now: number): Hint[] => [
      hintOf(2n, beat(now), { isServing: true, reachesServer: true, term: 3n }),
    ];
    const two = (now: number): Hint[] => [...one(now), hintOf(3n, beat(now))];

    expect(attemptAt(live(newCampaign(1), 0, 3000, one))).toBeUndefined();
    expect(attemptAt(live(newCampaign(1), 0, 3000, two))).toBeDefined();
  });

  test("against a dead server whose last hints still say that it serves", () => {
    const dead = (): Hint[] => [hintOf(2n, 50, { isServing: true, reachesServer: true, term: 3n })];
    const campaign = newCampaign(1);
    campaign.handle({ type: "heard", term: 3n }, 0);

    expect(attemptAt(live(campaign, 0, 1000, dead))).toBeLessThanOrEqual(500);
  });

  test("not while a server that nobody has reached yet has just taken a new term", () => {
    const campaign = newCampaign(1);
    campaign.handle({ type: "heard", term: 3n }, 0);
    const successor = (now: number): Hint[] =>
      now > 320 ? [hintOf(2n, 50, { isServing: true, reachesServer: true, term: 4n })] : [];

    expect(attemptAt(live(campaign, 0, 1500, successor))).toBeGreaterThanOrEqual(720);
  });

  test("only after two readings: a process that was paused learns first who is alive (Q3, Q4)", () => {
    const campaign = newCampaign(1);
    live(campaign, 0, 100);
    const alive = (now: number): Hint[] => [hintOf(2n, beat(now), { reachesServer: true })];

    expect(attemptAt(live(campaign, 60_000, 61_000, alive))).toBeUndefined();
  });

  test("never again once elections were halted", () => {
    const campaign = newCampaign(1);
    live(campaign, 0, 600);
    campaign.handle({ type: "attempt-ended", result: "halted", term: 0n, random: 0 }, 600);

    expect(attemptAt(live(campaign, 600, 5000))).toBeUndefined();
    expect(campaign.handle({ type: "serving", isServing: false }, 5000)).toEqual([]);
  });
});

describe("after an attempt", () => {
  test("the winner says so at once and does not campaign until it ceases to serve (Q6, Q7)", () => {
    const campaign = newCampaign(1);
    live(campaign, 0, 600);

    expect(campaign.handle({ type: "attempt-ended", result: "elected", term: 5n, random: 0 }, 600)).toEqual([
      {
        type: "write-hint",
        hint: {
          rid: 1n,
          term: 5n,
          counter: expect.any(Number) as number,
          reachesServer: true,
          isServing: true,
        },
      },
    ]);
    expect(campaign.handle({ type: "serving", isServing: true }, 601)).toEqual([]);
    expect(attemptAt(live(campaign, 601, 5000))).toBeUndefined();
    campaign.handle({ type: "serving", isServing: false }, 5000);
    expect(attemptAt(live(campaign, 5000, 6000))).toBeGreaterThanOrEqual(5400);
  });

  test("each loss in a row doubles the time to the next attempt, up to a limit", () => {
    const campaign = newCampaign(1);
    let now = 0;
    const waits: number[] = [];
    for (let losses = 0; losses < 8; losses += 1) {
      const at = attemptAt(live(campaign, now, now + 10_000)) ?? Number.NaN;
      waits.push(at - now);
      now = at;
      campaign.handle({ type: "attempt-ended", result: "lost", term: BigInt(losses + 2), random: 0.5 }, now);
    }

    expect(waits.slice(1).map((wait) => Math.round(wait))).toEqual([75, 150, 300, 600, 1200, 1500, 1500]);
  });

  test("leadership that flaps is held longer and longer, so that terms last", () => {
    const campaign = newCampaign(1);
    let now = 0;
    for (let term = 2n; term < 32n; term += 1n) {
      campaign.handle({ type: "heard", term }, now);
      now += 1000;
    }

    expect(attemptAt(live(campaign, now, now + 60_000))).toBeUndefined();
    expect(attemptAt(live(campaign, now + 60_000, now + 400_000))).toBeDefined();
  });

  test("a hint of a term that cannot exist is nonsense", () => {
    const others = (now: number): Hint[] => [hintOf(2n, beat(now), { term: 1n << 60n, isServing: true })];

    expect(attemptAt(live(newCampaign(1), 0, 1000, others))).toBeLessThanOrEqual(500);
  });
});
