/*
 * An opening that is cut off between its greeting and its joining, for longer than the server remembers it.
 */
import type { ByteStream, Transport } from "@holdfast/environment";
import { expect, test } from "vitest";
import { OPENINGS_MAX } from "../../src/member.ts";
import { MemberWorld } from "../world/member-world.ts";

/** Longer than `session.forgetMs`. */
const AWAY_MS = 25_000;

/** Lets the greetings of the first `count` connections through, and nothing behind them for a while. */
function cutOff({ clock, network }: MemberWorld, transport: Transport, count: number): void {
  let awayUntil = 0;
  let cuts = 0;
  const dial = async (address: string): Promise<ByteStream> => {
    if (clock.now() < awayUntil) return network.dial("nowhere");
    const stream = await network.dial(address);
    if (cuts >= count) return stream;
    let frames = 0;
    const write = stream.write.bind(stream);
    return Object.assign(stream, {
      write: (bytes: Uint8Array): boolean => {
        frames += 1;
        if (frames === 1) return write(bytes);
        cuts += 1;
        awayUntil = clock.now() + AWAY_MS;
        stream.destroy();
        return false;
      },
    });
  };
  Object.assign(transport, { dial });
}

test("an opening that was cut off until the server had forgotten it begins again, and is not evicted", async () => {
  const world = await MemberWorld.format();
  const server = await world.open();
  const { host, opening, losses } = world.begin({ listenAddress: undefined });
  cutOff(world, host.transport, 1);

  const member = await world.finish(opening);

  expect(host.events.filter((event) => event === "member.opens-again")).toHaveLength(1);
  expect(losses).toEqual([]);
  const { members } = await world.finish(member.status());
  expect(new Set(members.map(({ rid }) => rid))).toEqual(new Set([server.member.rid, member.rid]));
});

test("a voter that begins again listens where it listened", async () => {
  const world = await MemberWorld.format();
  await world.open();
  const { host, opening } = world.begin();
  cutOff(world, host.transport, 1);

  const member = await world.finish(opening);

  const { members } = await world.finish(member.status());
  expect(members.find(({ rid }) => rid === member.rid)).toMatchObject({
    isVoter: true,
    address: "memory:2",
  });
});

test("an opening that is cut off each time ends with an error in the end", async () => {
  const world = await MemberWorld.format();
  await world.open();
  const { host, opening, losses } = world.begin({ listenAddress: undefined });
  cutOff(world, host.transport, Number.POSITIVE_INFINITY);
  await world.clock.advance((OPENINGS_MAX + 1) * AWAY_MS);

  await expect(opening).rejects.toMatchObject({ code: "ERR_HOLDFAST_EVICTED" });

  expect(host.events.filter((event) => event === "member.opens-again")).toHaveLength(OPENINGS_MAX - 1);
  expect(losses).toEqual([]);
});
