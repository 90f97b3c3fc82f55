import { BLOCK_BYTES, HoldfastError } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import {
  DEFAULT_QUORUM_TIMING,
  type Leader,
  RECORD_PAYLOAD_BYTES_MAX,
  type LeadOptions,
  formatElection,
  lead,
  openElection,
  renewElection,
} from "../../src/index.ts";
import { World } from "./world.ts";

/** What a promise has come to so far. */
interface Progress<T> {
  value: T | undefined;
  error: unknown;
}

function follow<T>(promise: Promise<T>): Progress<T> {
  const progress: Progress<T> = { value: undefined, error: undefined };
  promise.then(
    (value) => {
      progress.value = value;
    },
    (error: unknown) => {
      progress.error = error;
    },
  );
  return progress;
}

/** Runs a promise to its end while time passes. */
async function during<T>(world: World, promise: Promise<T>, ms = 2000): Promise<T> {
  const settled = promise.then(
    () => {},
    () => {},
  );
  await world.pass(ms);
  await settled;
  return promise;
}

async function newWorld(state?: Uint8Array): Promise<World> {
  const world = new World();
  await during(world, formatElection(world.ports(), state));
  return world;
}

function run(world: World, options: Partial<LeadOptions> = {}): Progress<Leader> {
  return follow(lead({ ...world.ports(), ...options }));
}

async function leaderOf(world: World): Promise<Leader> {
  return during(world, lead(world.ports()));
}

describe("a device for an election", () => {
  test("is made once; what is none, or too small, is refused with a word on what to do", async () => {
    const world = new World();
    const ports = world.ports();

    await expect(during(world, lead(ports))).rejects.toMatchObject({ code: "ERR_HOLDFAST_ELECTION_MISSING" });
    const small = { ...ports.device, sizeBytes: BigInt(29 * BLOCK_BYTES) };
    await expect(during(world, formatElection({ ...ports, device: small }))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_ELECTION_TOO_SMALL",
    });
    await during(world, formatElection(ports));
    await expect(during(world, formatElection(ports))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_ELECTION_EXISTS",
    });

    expect(await during(world, openElection(ports.device))).toMatchObject({ termsMax: 97, generation: 0 });
  });

  test("that was cut short is refused; no term of it is used up", async () => {
    const world = await newWorld();
    const { writesCount } = world;
    const ports = world.ports();
    const device = { ...ports.device, sizeBytes: ports.device.sizeBytes / 2n };
    const code = "ERR_HOLDFAST_ELECTION_TOO_SMALL";

    await expect(during(world, lead({ ...ports, device }))).rejects.toMatchObject({ code });
    await expect(during(world, renewElection({ ...ports, device }))).rejects.toMatchObject({ code });

    expect(world.writesCount).toBe(writesCount);
  });

  test("can be renewed: the state stays, and tokens go on rising", async () => {
    const world = await newWorld(new Uint8Array([4, 2]));
    const first = await leaderOf(world);
    await during(world, first.resign());

    await during(world, renewElection(world.ports()));

    const next = await leaderOf(world);
    expect(next.token).toBe(99n);
    expect([...next.state]).toEqual([4, 2]);
  });
});

describe("a leader", () => {
  test("is one of those who run; the others wait", async () => {
    const world = await newWorld();
    const runs = [run(world), run(world), run(world)];

    await world.pass(10_000);

    expect(runs.filter(({ value }) => value !== undefined)).toHaveLength(1);
    expect(runs.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
  });

  test("finds what the one before it has saved, under a greater token", async () => {
    const world = await newWorld();
    const first = await leaderOf(world);
    expect(first.state).toHaveLength(0);
    await during(world, Promise.all([first.save(new Uint8Array([1])), first.save(new Uint8Array([2]))]));
    const next = run(world);

    await during(world, first.resign());

    expect(next.value?.token).toBe(first.token + 1n);
    expect(next.value?.state).toEqual(new Uint8Array([2]));
  });

  test("that resigns is followed within a heartbeat and the time of one reading of the hints", async () => {
    const world = await newWorld();
    const first = await leaderOf(world);
    const next = run(world);
    await world.pass(5000);
    const { electionTimeoutMs, heartbeatMs } = DEFAULT_QUORUM_TIMING;

    await during(world, first.resign(), electionTimeoutMs / 2 + heartbeatMs);

    expect(await first.lost).toBeUndefined();
    expect(next.value).toBeDefined();
  });

  test("that resigned is refused everything, also while nobody has followed; what it saved before counts", async () => {
    const world = await newWorld();
    const leader = await leaderOf(world);
    const saved = leader.save(new Uint8Array([8]));
    const resigned = Promise.all([leader.resign(), leader.resign()]);
    const [check, late] = [follow(leader.check()), follow(leader.save(new Uint8Array([9])))];
    await during(world, Promise.all([saved, resigned]));

    for (const { error } of [check, late])
      expect(error).toMatchObject({ code: "ERR_HOLDFAST_RESIGNED", facts: { term: leader.token } });
    expect((await leaderOf(world)).state).toEqual(new Uint8Array([8]));
  });

  test("learns by itself that its device stands still, and another one leads when it answers again", async () => {
    const world = await newWorld();
    const leader = await leaderOf(world);
    const lost = follow(leader.lost);

    world.isStalled = true;
    await world.pass(DEFAULT_QUORUM_TIMING.deviceStallMs + 1000);

    expect(lost.value).toMatchObject({ code: "ERR_HOLDFAST_DEVICE_STALLED" });
    world.isStalled = false;
    expect((await leaderOf(world)).token).toBe(leader.token + 1n);
  });

  test("may save more than fits only in vain: that costs it nothing", async () => {
    const world = await newWorld();
    const leader = await leaderOf(world);

    await expect(
      during(world, leader.save(new Uint8Array(RECORD_PAYLOAD_BYTES_MAX + 1))),
    ).rejects.toBeInstanceOf(RangeError);

    await during(world, leader.check());
    await during(world, leader.save(new Uint8Array(RECORD_PAYLOAD_BYTES_MAX)));
    expect(leader.state).toHaveLength(RECORD_PAYLOAD_BYTES_MAX);
  });
});

describe("a candidate that gives up", () => {
  test("is told so, and holds nothing: whenever it does, the next one leads", async () => {
    const world = await newWorld();
    const seen = new Set<string>();
    // An election by a candidate alone begins 400 to 450 ms after its start and takes some ten milliseconds.
    for (let afterMs = 0; afterMs < 480; afterMs += afterMs < 400 ? 100 : 2) {
      const control = new AbortController();
      const waiting = run(world, { signal: control.signal });
      await world.pass(afterMs);
      control.abort();
      await world.pass(1000);

      seen.add(waiting.value === undefined ? codeOf(waiting.error) : "leads");
      const resigned = follow(waiting.value?.resign() ?? Promise.resolve());
      await world.pass(100);
      expect(resigned.error).toBeUndefined();
    }

    expect([...seen].sort()).toEqual(["ERR_HOLDFAST_CANCELLED", "leads"]);
    expect((await leaderOf(world)).token).toBeGreaterThan(2n);
  });

  test("before it began does not begin", async () => {
    const world = await newWorld();
    await expect(
      during(world, lead({ ...world.ports(), signal: AbortSignal.abort() })),
    ).rejects.toMatchObject({
      code: "ERR_HOLDFAST_CANCELLED",
    });
  });
});

test("a leader has a name that fits, and times that fit each other", async () => {
  const ports = new World().ports();
  const timing = DEFAULT_QUORUM_TIMING;

  await expect(lead({ ...ports, name: "" })).rejects.toBeInstanceOf(TypeError);
  await expect(lead({ ...ports, name: "x".repeat(255) })).rejects.toBeInstanceOf(RangeError);
  for (const [wrong, message] of [
    [{ heartbeatMs: 0 }, /heartbeatMs is a number of milliseconds greater than 0/],
    [{ electionTimeoutMs: Number.NaN }, /electionTimeoutMs is a number/],
    [{ electionTimeoutMs: 299 }, /at least three heartbeats, 300, not 299/],
    [{ backoffMaxMs: 49 }, /backoffMaxMs is at least backoffMinMs/],
    [{ deviceStallMs: 99 }, /deviceStallMs is at least a heartbeat/],
  ] as const)
    await expect(lead({ ...ports, timing: { ...timing, ...wrong } })).rejects.toThrow(message);
});

function codeOf(error: unknown): string {
  return error instanceof HoldfastError ? String(error.code) : String(error);
}
