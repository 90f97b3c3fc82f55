import { type BrokenRules, CancelledError, NO_BROKEN_RULES } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { DEFAULT_MEMBER_TIMING } from "../../src/index.ts";
import { MemberWorld, type TestMember, textOf } from "../world/member-world.ts";

const { quorum, recoveryMs } = DEFAULT_MEMBER_TIMING;

/** Address of the member that was opened first, and so serves. */
const SERVER = "memory:1";

/** Cuts the server off from everybody but itself, and from nothing but the network. */
function cutOff(world: MemberWorld, server: TestMember, others: readonly TestMember[]): void {
  const only = ({ host: { transport } }: TestMember, isReached: (address: string) => boolean): void => {
    const dial = transport.dial.bind(transport);
    Object.assign(transport, {
      dial: (address: string) =>
        isReached(address) ? dial(address) : Promise.reject(new Error("cut off from there")),
    });
  };
  only(server, (address) => address === SERVER);
  for (const other of others) only(other, (address) => address !== SERVER);
  world.network.cut();
}

interface Outcome {
  /** From the cut to the acknowledgement of what another member wrote. */
  readonly waitMs: number;
  /** Reads in the server that began behind that acknowledgement and gave what stood there before. */
  readonly staleCount: number;
  /** Reads that were answered after the cut. */
  readonly readsCount: number;
}

/** A member reads without pause while it serves, is cut off, and another one writes what it reads. */
async function readWhileReplaced(brokenRules: BrokenRules = NO_BROKEN_RULES): Promise<Outcome> {
  const world = await MemberWorld.format();
  const server = await world.open({ brokenRules });
  const others = [await world.open(), await world.open()];
  const data = await server.member.dataset();
  await world.finish(data.put("k", "old"));
  const [writer] = others;
  if (writer === undefined) throw new Error("there is another member");
  const written = await writer.member.dataset();
  const abort = new AbortController();
  let [ackedMs, staleCount, readsCount] = [Number.POSITIVE_INFINITY, 0, 0];
  const readOn = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      const beganMs = world.clock.now();
      const value = textOf(await data.get("k", abort.signal));
      readsCount += 1;
      if (beganMs > ackedMs && value === "old") staleCount += 1;
      await new Promise<void>((resolve) => world.clock.at(world.clock.now() + 3, resolve));
    }
  };
  const reading = readOn().catch((error: unknown) => {
    if (!(error instanceof CancelledError)) throw error;
  });
  await world.clock.advance(1000);
  readsCount = 0;

  cutOff(world, server, others);
  const cutMs = world.clock.now();
  await world.finish(written.put("k", "new"));
  ackedMs = world.clock.now();
  await world.clock.advance(300);

  abort.abort();
  await world.clock.advance(10);
  await reading;
  return { waitMs: ackedMs - cutMs, staleCount, readsCount };
}

describe("a server that was cut off", () => {
  test("is replaced, and its own locks go on, long before members are evicted", async () => {
    const { waitMs } = await readWhileReplaced();

    expect(waitMs).toBeGreaterThan(quorum.electionTimeoutMs);
    expect(waitMs).toBeLessThan(recoveryMs);
  });

  test("sees nothing stale after its successor broke its locks", async () => {
    const { staleCount, readsCount } = await readWhileReplaced();

    expect(staleCount).toBe(0);
    expect(readsCount).toBeGreaterThan(0);
  });

  test("would see it, were its lease as long as others'", async () => {
    const { staleCount } = await readWhileReplaced(new Set(["own-lease-is-short"]));

    expect(staleCount).toBeGreaterThan(0);
  });
});

test("a former server that nobody waits for has as long as any member to come back", async () => {
  const world = await MemberWorld.format();
  const server = await world.open();
  const others = [await world.open(), await world.open()];
  const data = await server.member.dataset();
  await world.finish(data.put("k", "1"));
  const events = (): readonly unknown[] => others.flatMap(({ host }) => host.events);

  cutOff(world, server, others);
  await world.until(() => events().includes("server.opened"));
  await world.clock.advance(recoveryMs / 2);
  expect(events()).not.toContain("member.evicted");
  await world.clock.advance(recoveryMs);

  expect(events()).toContain("member.evicted");
  expect(events()).not.toContain("server.not-waited-for");
});
