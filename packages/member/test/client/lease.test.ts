import { expect, test } from "vitest";
import { Lease } from "../../src/client/lease.ts";
import { ManualClock } from "@holdfast/memory-ports";

interface Asked {
  readonly atMs: number;
  answer(isGranted: boolean): void;
}

function fixture(): { clock: ManualClock; asked: Asked[]; lease: Lease } {
  const clock = new ManualClock();
  const asked: Asked[] = [];
  const lease = new Lease({
    clock,
    leaseMs: 400,
    ownLeaseMs: 100,
    ask: (answer) => asked.push({ atMs: clock.now(), answer }),
  });
  return { clock, asked, lease };
}

test("before a server counted the member in there is no lease", () => {
  const { clock, lease } = fixture();

  expect(lease.isValid).toBe(false);
  expect(clock.timersCount).toBe(0);
});

test("a lease runs from when it was asked for, whatever happened to the answer on its way", async () => {
  const { clock, asked, lease } = fixture();
  lease.countedIn(1n, clock.now());
  await clock.advance(100);
  expect(asked.map(({ atMs }) => atMs)).toEqual([100]);

  await clock.advance(250);
  asked[0]?.answer(true);
  await clock.advance(149);
  expect(lease.isValid).toBe(true);
  await clock.advance(1);

  expect(lease.isValid).toBe(false);
});

test("an answer that comes after its lease would be over extends nothing", async () => {
  const { clock, asked, lease } = fixture();
  lease.countedIn(1n, clock.now());
  await clock.advance(600);

  asked[0]?.answer(true);

  expect(lease.isValid).toBe(false);
});

test("an older answer takes nothing from a newer one", async () => {
  const { clock, lease } = fixture();
  await clock.advance(200);
  lease.countedIn(1n, 200);

  lease.countedIn(1n, 0);
  await clock.advance(399);

  expect(lease.isValid).toBe(true);
});

test("renewals are asked for four times in a lease, one at a time, and again after a refusal", async () => {
  const { clock, asked, lease } = fixture();
  lease.countedIn(1n, 0);
  await clock.advance(100);
  asked[0]?.answer(true);
  await clock.advance(100);
  asked[1]?.answer(false);
  await clock.advance(100);
  await clock.advance(1000);

  expect(asked.map(({ atMs }) => atMs)).toEqual([100, 200, 300]);
});

test("a member that wins a term has a short lease from then on, whoever granted it before", async () => {
  const { clock, asked, lease } = fixture();
  lease.countedIn(1n, 0);
  await clock.advance(100);
  await clock.advance(20);

  lease.won(2n);
  asked[0]?.answer(true);
  await clock.advance(99);
  expect(lease.isValid).toBe(true);
  await clock.advance(1);

  expect(lease.isValid).toBe(false);
});

test("the server before, which has not noticed that it was succeeded, lengthens nothing", async () => {
  const { clock, lease } = fixture();
  lease.won(3n);

  lease.countedIn(2n, clock.now());
  await clock.advance(99);
  expect(lease.isValid).toBe(true);
  await clock.advance(1);

  expect(lease.isValid).toBe(false);
});

test("a lease is short while its member serves, and long again when a later server counts it in", async () => {
  const { clock, lease } = fixture();
  lease.won(2n);
  lease.countedIn(2n, clock.now());
  await clock.advance(100);
  expect(lease.isValid).toBe(false);

  lease.countedIn(3n, clock.now());
  await clock.advance(399);

  expect(lease.isValid).toBe(true);
});

test("a member that serves a second time has a short lease again", async () => {
  const { clock, lease } = fixture();
  lease.won(2n);
  lease.countedIn(3n, clock.now());

  lease.won(4n);
  await clock.advance(100);

  expect(lease.isValid).toBe(false);
});

test("a short lease that nobody looks at is not renewed before somebody does", async () => {
  const { clock, asked, lease } = fixture();
  lease.won(1n);
  lease.countedIn(1n, clock.now());
  await clock.advance(1000);
  expect(asked).toEqual([]);

  expect(lease.isValid).toBe(false);
  const valid = lease.valid();
  asked[0]?.answer(true);
  await valid;

  expect(lease.isValid).toBe(true);
  await clock.advance(25);
  expect(asked.map(({ atMs }) => atMs)).toEqual([1000, 1025]);
});

test("who only ever looks at a short lease that rests, and waits for nothing, finds it the next time", async () => {
  const { clock, asked, lease } = fixture();
  lease.won(1n);
  lease.countedIn(1n, clock.now());
  await clock.advance(1000);

  expect(lease.isValid).toBe(false);
  asked[0]?.answer(true);

  expect(lease.isValid).toBe(true);
  expect(asked.map(({ atMs }) => atMs)).toEqual([1000]);
});

test("a look at a lease that ended while it rested asks for nothing", async () => {
  const { clock, asked, lease } = fixture();
  lease.won(1n);
  lease.countedIn(1n, clock.now());
  await clock.advance(1000);

  lease.end(new Error("the member was evicted"));

  expect(lease.isValid).toBe(false);
  expect(asked).toEqual([]);
});

test("a short lease is renewed for the time of a long one behind each look: a slow read still finds it", async () => {
  const { clock, asked, lease } = fixture();
  lease.won(1n);
  lease.countedIn(1n, clock.now());
  expect(lease.isValid).toBe(true);

  const grantUntil = async (untilMs: number): Promise<void> => {
    while (clock.now() < untilMs) {
      await clock.advance(25);
      asked.at(-1)?.answer(true);
    }
  };
  await grantUntil(400);
  expect(lease.isValid).toBe(true);
  await grantUntil(1000);

  expect(asked.at(-1)?.atMs).toBe(800);
  expect(lease.isValid).toBe(false);
});

test("who waits for a lease gets it with the next one that is valid", async () => {
  const { clock, lease } = fixture();
  const order: string[] = [];
  const waiting = lease.valid().then(() => order.push("valid"));
  lease.countedIn(1n, -400);
  await clock.advance(0);
  order.push("not yet");

  lease.countedIn(1n, 0);
  await waiting;
  await lease.valid();

  expect(order).toEqual(["not yet", "valid"]);
});

test("a wait for a lease that is given up leaves the others alone", async () => {
  const { lease } = fixture();
  const abort = new AbortController();
  const given = lease.valid(abort.signal);
  const kept = lease.valid();
  abort.abort("enough");
  await expect(given).rejects.toMatchObject({ code: "ERR_HOLDFAST_CANCELLED", cause: "enough" });
  await expect(lease.valid(abort.signal)).rejects.toMatchObject({ code: "ERR_HOLDFAST_CANCELLED" });

  lease.countedIn(1n, 0);

  await expect(kept).resolves.toBeUndefined();
});

test("when the membership ends there is no lease any more, whatever a server still answers", async () => {
  const { clock, asked, lease } = fixture();
  lease.countedIn(1n, 0);
  await clock.advance(100);
  const lost = new Error("evicted");
  lease.end(lost);
  expect(lease.isValid).toBe(false);

  asked[0]?.answer(true);
  lease.countedIn(1n, clock.now());

  expect(lease.isValid).toBe(false);
  expect(clock.timersCount).toBe(0);
  await expect(lease.valid()).rejects.toBe(lost);
});

test("who waits when the membership ends is told why", async () => {
  const { lease } = fixture();
  const waiting = lease.valid();
  const lost = new Error("evicted");

  lease.end(lost);
  lease.end(new Error("later"));

  await expect(waiting).rejects.toBe(lost);
});
