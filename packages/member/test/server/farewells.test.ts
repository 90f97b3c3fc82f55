import { SILENT_LOGGER } from "@holdfast/environment";
import { ManualClock } from "@holdfast/memory-ports";
import { expect, test } from "vitest";
import { EMPTY_STATE, type VolumeState } from "../../src/index.ts";
import { Farewells, type Leaving, whoMayGo } from "../../src/server/farewells.ts";

const PATIENT = { mayBeWritten: false, isServing: false, saidTerm: 9n, patienceMs: 1000 };
const OWN = 1n;

/** Members by rid: "v" votes, "n" does not, "e" voted and is being evicted. */
function members(kinds: Readonly<Record<string, "v" | "n" | "e">>): Leaving["members"] {
  const entries = Object.entries(kinds).map(([rid, kind]) => {
    const record = { isVoter: kind !== "n", isEvicted: kind === "e" };
    return [BigInt(rid), record] as const;
  });
  return new Map(entries);
}

function leavers(...rids: readonly bigint[]): Leaving["leavers"] {
  return new Map(rids.map((rid) => [rid, { isForced: false }]));
}

test("who does not vote may go at once, whatever becomes of the voters", () => {
  const all = members({ 1: "v", 2: "n", 3: "n" });

  expect(whoMayGo({ leavers: leavers(2n, 3n), members: all, votes: 1, own: OWN })).toEqual([2n, 3n]);
});

test("F5: who does not vote is let go before the voters that leave with it", () => {
  const all = members({ 1: "v", 2: "v", 3: "n" });

  expect(whoMayGo({ leavers: leavers(1n, 2n, 3n), members: all, votes: 2, own: OWN })).toEqual([3n, 2n, 1n]);
});

test("a voter may go while enough voters remain to elect a server", () => {
  const all = members({ 1: "v", 2: "v", 3: "v" });

  expect(whoMayGo({ leavers: leavers(2n), members: all, votes: 2, own: OWN })).toEqual([2n]);
  expect(whoMayGo({ leavers: leavers(2n, 3n), members: all, votes: 2, own: OWN })).toEqual([2n]);
  expect(whoMayGo({ leavers: leavers(2n), members: all, votes: 3, own: OWN })).toEqual([]);
});

test("when all voters that remain are leaving they all may go, the server's own member last", () => {
  const all = members({ 1: "v", 2: "v", 3: "n", 4: "e" });

  expect(whoMayGo({ leavers: leavers(1n, 2n), members: all, votes: 2, own: OWN })).toEqual([2n, 1n]);
});

test("a voter whose patience is over goes, and nobody else because of it", () => {
  const all = members({ 1: "v", 2: "v", 3: "v" });
  const forced = new Map([
    [2n, { isForced: true }],
    [3n, { isForced: false }],
  ]);

  expect(whoMayGo({ leavers: forced, members: all, votes: 3, own: OWN })).toEqual([2n]);
});

test("who is no member any more may go: an earlier server has forgotten it", () => {
  expect(whoMayGo({ leavers: leavers(9n), members: members({ 1: "v" }), votes: 1, own: OWN })).toEqual([9n]);
});

test("unless all are leaving, farewells never leave fewer voters than are needed: all cases of five members", () => {
  const rids = [1n, 2n, 3n, 4n, 5n];
  const chosen = (mask: number): readonly bigint[] => rids.filter((_, index) => (mask & (1 << index)) !== 0);
  let cases = 0;
  for (let votersMask = 0; votersMask < 32; votersMask += 1)
    for (let leavingMask = 0; leavingMask < 32; leavingMask += 1)
      for (const votes of [1, 2, 3, 5]) {
        const voters = chosen(votersMask);
        const leaving = chosen(leavingMask);
        const all = new Map(
          rids.map((rid) => [rid, { isVoter: voters.includes(rid), isEvicted: false }] as const),
        );
        const going = whoMayGo({ leavers: leavers(...leaving), members: all, votes, own: OWN });

        const remaining = voters.filter((rid) => !going.includes(rid)).length;
        const areAllLeaving = voters.every((rid) => leaving.includes(rid));
        const needed = areAllLeaving ? 0 : Math.min(votes, voters.length);
        expect(areAllLeaving ? remaining === 0 : remaining >= needed).toBe(true);
        expect(leaving.filter((rid) => !voters.includes(rid) && !going.includes(rid))).toEqual([]);
        expect(going.filter((rid) => !leaving.includes(rid))).toEqual([]);
        cases += 1;
      }
  expect(cases).toBe(4096);
});

/** Farewells over members that a test changes. */
class Stage {
  readonly clock: ManualClock = new ManualClock();
  readonly members: Map<bigint, { isVoter: boolean; isEvicted: boolean }>;
  readonly forgotten: bigint[] = [];
  readonly farewells: Farewells;
  votes: number;

  constructor(votes: number, kinds: Readonly<Record<string, "v" | "n" | "e">>) {
    this.votes = votes;
    this.members = new Map(members(kinds));
    const state = (): VolumeState => ({ ...EMPTY_STATE, votes: this.votes });
    this.farewells = new Farewells({
      own: OWN,
      clock: this.clock,
      committer: {
        get committed() {
          return state();
        },
        // Only the list of members is looked at.
        read: () => Promise.resolve(this.members as never),
      },
      forget: (rid) => {
        this.forgotten.push(rid);
        this.members.delete(rid);
        return Promise.resolve();
      },
      log: SILENT_LOGGER,
    });
  }

  /** What became of a farewell, as far as it is known. */
  say(rid: bigint): { outcome: unknown } {
    const state: { outcome: unknown } = { outcome: "waits" };
    this.farewells.farewell(rid, PATIENT).then(
      () => (state.outcome = "gone"),
      (error: unknown) => (state.outcome = error),
    );
    return state;
  }
}

test("a held voter goes as soon as another one makes it dispensable", async () => {
  const stage = new Stage(2, { 1: "v", 2: "v" });
  const held = stage.say(2n);
  await stage.clock.advance(10);
  expect([held.outcome, stage.farewells.isLeaving(2n)]).toEqual(["waits", true]);

  stage.members.set(3n, { isVoter: true, isEvicted: false });
  stage.farewells.review();
  await stage.clock.advance(1);

  expect([held.outcome, stage.farewells.isLeaving(2n)]).toEqual(["gone", false]);
});

test("a held voter goes as soon as fewer votes are needed", async () => {
  const stage = new Stage(2, { 1: "v", 2: "v" });
  const held = stage.say(2n);
  await stage.clock.advance(10);

  stage.votes = 1;
  stage.farewells.review();
  await stage.clock.advance(1);

  expect(held.outcome).toBe("gone");
});

test("F10: no voter is held for longer than it said it would wait", async () => {
  const stage = new Stage(3, { 1: "v", 2: "v" });
  const held = stage.say(2n);

  await stage.clock.advance(PATIENT.patienceMs - 1);
  expect(held.outcome).toBe("waits");
  await stage.clock.advance(2);

  expect(held.outcome).toBe("gone");
});

test("F8: a farewell that is said twice is one, and both are answered", async () => {
  const stage = new Stage(2, { 1: "v", 2: "v" });
  const [first, second] = [stage.say(2n), stage.say(2n)];
  await stage.clock.advance(10);
  const own = stage.say(OWN);
  await stage.clock.advance(10);

  expect([first, second, own].map(({ outcome }) => outcome)).toEqual(["gone", "gone", "gone"]);
  expect(stage.forgotten).toEqual([2n, OWN]);
});

test("F7: a server that ends answers no farewell any more, neither held nor new", async () => {
  const stage = new Stage(2, { 1: "v", 2: "v" });
  const held = stage.say(2n);
  await stage.clock.advance(10);
  const ended = new Error("the server has ended");

  stage.farewells.close(ended);
  const late = stage.say(3n);
  await stage.clock.advance(2 * PATIENT.patienceMs);

  expect([held.outcome, late.outcome]).toEqual([ended, ended]);
  expect(stage.forgotten).toEqual([]);
});
