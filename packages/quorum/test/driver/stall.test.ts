import { NO_BROKEN_RULES } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import {
  DEFAULT_QUORUM_TIMING,
  DeviceStalledError,
  Election,
  type ElectionOutcome,
  type Leadership,
  driveToOutcome,
  readTermStatus,
  startLeadership,
  startVoter,
  type Voter,
} from "../../src/index.ts";
import { REGION, World } from "./world.ts";

const STALL_MS = DEFAULT_QUORUM_TIMING.deviceStallMs;
const PAYLOAD = new Uint8Array([9, 9]);

async function elect(world: World, rid: bigint): Promise<Leadership> {
  const config = { region: REGION, rid, claim: rid, fromTerm: 1n, yieldAbove: undefined };
  const election = new Election({ ...config, brokenRules: NO_BROKEN_RULES });
  const running = driveToOutcome<ElectionOutcome>(
    election,
    { first: election.handle({ type: "start" }) },
    world.ports(),
  );
  await world.pass(50);
  const outcome = await running;
  if (outcome.type !== "elected") throw new Error(`the election ended ${outcome.type}`);
  const { term, adopted } = outcome;
  return startLeadership({ region: REGION, rid, term, adopted, brokenRules: NO_BROKEN_RULES }, world.ports());
}

/** How a promise ended, once it has. */
function watch(promise: Promise<unknown>): { ended: unknown } {
  const seen: { ended: unknown } = { ended: undefined };
  promise.then(
    () => {
      seen.ended = "resolved";
    },
    (error: unknown) => {
      seen.ended = error;
    },
  );
  return seen;
}

describe("a server whose device stands still", () => {
  test("ends with an error after the limit, and is refused everything from then on", async () => {
    const world = new World();
    const leadership = await elect(world, 1n);
    world.isStalled = true;
    const commit = watch(leadership.commit(PAYLOAD, "a"));

    await world.pass(STALL_MS - 10);
    expect(commit.ended).toBeUndefined();
    await world.pass(20);

    expect(commit.ended).toBeInstanceOf(DeviceStalledError);
    expect(commit.ended).toMatchObject({ facts: { term: 2n, stallMs: STALL_MS } });
    await expect(leadership.commit(PAYLOAD, "a")).rejects.toBe(commit.ended);
    await expect(leadership.check()).rejects.toBe(commit.ended);
  });

  test("touches its term no more: what completes late is not followed by the second copy", async () => {
    const world = new World();
    const leadership = await elect(world, 1n);
    world.isStalled = true;
    const commit = watch(leadership.commit(PAYLOAD, "a"));
    await world.pass(STALL_MS + 10);
    const [{ ended }, writes] = [commit, world.writesCount];

    world.isStalled = false;
    await world.pass(10_000);

    expect(commit.ended).toBe(ended);
    expect(world.writesCount).toBe(writes);
    expect(await statusOf(world, leadership)).toMatchObject({ isSuperseded: false, record: { seq: 1n } });
  });

  test("ends so too when it is a check that does not come back", async () => {
    const world = new World();
    const leadership = await elect(world, 1n);
    world.isStalled = true;
    const checks = [watch(leadership.check()), watch(leadership.check())];

    await world.pass(STALL_MS + 10);

    for (const check of checks) expect(check.ended).toBeInstanceOf(DeviceStalledError);
  });

  test("is superseded, and its late record changes nothing", async () => {
    const world = new World();
    const old = await elect(world, 1n);
    world.isStalled = true;
    const commit = watch(old.commit(PAYLOAD, "a"));
    await world.pass(STALL_MS + 10);
    world.isStalled = false;

    const next = await elect(world, 2n);
    const saved = watch(next.commit(new Uint8Array([5]), "b"));
    await world.pass(50);

    expect(saved.ended).toBe("resolved");
    expect(commit.ended).toBeInstanceOf(DeviceStalledError);
    expect((await elect(world, 3n)).adopted).toMatchObject({ term: next.term, payload: new Uint8Array([5]) });
  });

  test("is not taken for one whose process was paused: the pause is no silence of the device", async () => {
    const world = new World();
    const leadership = await elect(world, 1n);
    const commit = watch(leadership.commit(PAYLOAD, "a"));

    world.pause(10 * STALL_MS);
    await world.pass(50);

    expect(commit.ended).toBe("resolved");
  });
});

async function statusOf(world: World, { term }: Leadership): Promise<unknown> {
  const status = readTermStatus(REGION, world.ports(), term);
  await world.pass(50);
  return status;
}

describe("a voter whose device stands still", () => {
  function newVoter(world: World): { readonly voter: Voter; readonly errors: unknown[] } {
    const errors: unknown[] = [];
    const voter = startVoter(
      {
        region: REGION,
        rid: 7n,
        address: () => "unix:/seven",
        votes: () => 1,
        timing: DEFAULT_QUORUM_TIMING,
        brokenRules: NO_BROKEN_RULES,
        onElected: () => {},
        onError: (error) => errors.push(error),
      },
      world.ports(),
    );
    return { voter, errors };
  }

  test("does not queue requests: one hint, one reading (Q20)", async () => {
    const world = new World();
    newVoter(world);
    await world.pass(50);
    [world.readsCount, world.writesCount] = [0, 0];
    world.isStalled = true;

    await world.pass(60_000);

    expect([world.readsCount, world.writesCount]).toEqual([1, 1]);
  });

  test("can be stopped all the same, in bounded time, and says so", async () => {
    const world = new World();
    const { voter, errors } = newVoter(world);
    await world.pass(50);
    world.isStalled = true;
    await world.pass(1000);
    const stop = watch(voter.stop());

    await world.pass(STALL_MS - 10);
    expect(stop.ended).toBeUndefined();
    await world.pass(20);

    expect(stop.ended).toBe("resolved");
    expect(world.logged).toContainEqual(
      expect.objectContaining({ event: "voter.stop-stalled", requests: 2 }),
    );
    world.isStalled = false;
    await world.pass(1000);
    expect(errors).toEqual([]);
  });

  test("writes nothing more behind its stop, an election under way included", async () => {
    const world = new World();
    const { voter } = newVoter(world);
    while (!world.logged.some((facts) => "event" in facts && facts.event === "election.started"))
      await world.pass(1);
    const writes = world.writesCount;
    const stop = watch(voter.stop());

    await world.pass(1000);

    expect(stop.ended).toBe("resolved");
    expect(world.writesCount).toBe(writes);
  });

  test("that reads nothing at all burns no terms, and is the server once it reads again", async () => {
    const world = new World();
    const leaders: unknown[] = [];
    for (let block = REGION.slotsBlock; block < 600n; block += 1n) world.badReads.add(block);
    startVoter(
      {
        region: REGION,
        rid: 7n,
        address: () => "unix:/seven",
        votes: () => 1,
        timing: DEFAULT_QUORUM_TIMING,
        brokenRules: NO_BROKEN_RULES,
        onElected: (leadership) => leaders.push(leadership.term),
        onError: () => {},
      },
      world.ports(),
    );

    await world.pass(20_000);
    expect(leaders).toEqual([]);
    const failed = world.logged.filter((facts) => "event" in facts && facts.event === "election.failed");
    expect(failed[0]).toMatchObject({ err: { code: "ERR_HOLDFAST_SPLITTER_READ" } });
    expect(failed.length).toBeLessThan(40);
    world.badReads.clear();
    await world.pass(3000);

    expect(leaders).toEqual([2n]);
  });
});
