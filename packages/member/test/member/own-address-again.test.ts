/*
 * A process that did not reach itself as a server, and does again.
 */
import { ManualClock } from "@holdfast/memory-ports";
import { type ByteStream, TransportError } from "@holdfast/environment";
import { expect, test } from "vitest";
import { OWN_ADDRESS_PAUSE_MAX_MS, OwnAddressRest } from "../../src/own-address.ts";
import { MemberWorld, type TestMember, textOf } from "../world/member-world.ts";

/** From here on this process does not reach that address, until what is returned is called; others do. */
function hide({ host: { transport } }: Pick<TestMember, "host">, address: string): () => void {
  const dial = transport.dial.bind(transport);
  const failed = new TransportError("ERR_HOLDFAST_DIAL", "no route", address);
  Object.assign(transport, { dial: (to: string) => (to === address ? Promise.reject(failed) : dial(to)) });
  return () => Object.assign(transport, { dial });
}

/** Three members: the first has died, the second did not reach itself as its successor, the third serves. */
async function succeeded(): Promise<{
  readonly world: MemberWorld;
  readonly hidden: TestMember;
  readonly sound: TestMember;
  readonly show: () => void;
}> {
  const world = await MemberWorld.format();
  const first = await world.open();
  const hidden = await world.open();
  const sound = await world.open();
  await world.finish((await first.member.dataset()).put("k", "1"));
  const show = hide(hidden, "memory:2");
  first.host.kill();
  await world.until(() => sound.member.report().isServing);
  return { world, hidden, sound, show };
}

test("a process that did not reach itself serves again when it does, without a restart", async () => {
  const { world, hidden, sound, show } = await succeeded();
  show();
  await world.until(() => hidden.host.events.includes("voter.resumed"));

  sound.host.kill();
  const value = await world.finish((await hidden.member.dataset()).get("k"));

  expect(textOf(value)).toBe("1");
  expect(hidden.member.report().isServing).toBe(true);
  expect(hidden.losses).toEqual([]);
});

test("as long as it does not it claims no further term, also when nobody else is left", async () => {
  const { world, hidden, sound } = await succeeded();

  sound.host.kill();
  await world.clock.advance(60_000);

  expect(hidden.host.events.filter((event) => event === "election.won")).toHaveLength(1);
  expect(hidden.host.events).not.toContain("voter.resumed");
});

test("one that is closed meanwhile keeps no timer, and does not come back", async () => {
  const { world, hidden, sound, show } = await succeeded();
  show();

  await world.close(hidden);
  await world.clock.advance(60_000);

  expect(hidden.host.events).not.toContain("voter.resumed");
  await world.close(sound);
});

/** A rest whose dials are counted, by time. */
function rest(dial: (signal: AbortSignal) => Promise<ByteStream>): {
  readonly clock: ManualClock;
  readonly rest: OwnAddressRest;
  readonly dialledMs: number[];
} {
  const clock = new ManualClock();
  const dialledMs: number[] = [];
  const resting = new OwnAddressRest({
    clock,
    dialMs: 500,
    dial: (signal) => {
      dialledMs.push(clock.now());
      return dial(signal);
    },
    onReached: () => {},
  });
  return { clock, rest: resting, dialledMs };
}

function aborted(signal: AbortSignal): Promise<ByteStream> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
  });
}

test("the address is dialled after a pause that doubles, up to ten minutes; a dial that hangs is given up", async () => {
  const { clock, rest: resting, dialledMs } = rest(aborted);

  resting.begin();
  await clock.advance(2 * 3_600_000);

  const pauses = dialledMs.map((atMs, index) => atMs - (dialledMs[index - 1] ?? 0) - (index === 0 ? 0 : 500));
  expect(pauses.slice(0, 9)).toEqual([
    10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000, 600_000,
  ]);
  expect(Math.max(...pauses)).toBe(OWN_ADDRESS_PAUSE_MAX_MS);
});

test("the pause is short again for who was not in need of one for half an hour", async () => {
  const { clock, rest: resting } = rest(aborted);
  const first = resting.begin();
  resting.close();
  const { clock: later, rest: again } = rest(() => new Promise(() => {}));
  const pauses = [again.begin(), again.begin()];
  await later.advance(2_000_000);

  expect([first, ...pauses, again.begin()]).toEqual([10_000, 10_000, 20_000, 10_000]);
  expect(clock.timersCount).toBe(0);
});
