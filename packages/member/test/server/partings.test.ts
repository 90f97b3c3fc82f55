import { DeviceError } from "@holdfast/environment";
import { InvalidateDone, LockRequest, ReclaimRequest } from "@holdfast/lock-protocol";
import type { RequestHandler } from "@holdfast/net-reliable";
import { expect, test } from "vitest";
import { DEFAULT_MEMBER_TIMING } from "../../src/index.ts";
import {
  Command,
  EMPTY_BODY,
  FarewellRequest,
  JoinRequest,
  Refusal,
  TuneOperation,
} from "../../src/protocol.ts";
import { rangeOf } from "../locks/lock-wiring.ts";
import { ServerRig } from "../world/server-rig.ts";
import { FAREWELL, JOIN, NO_LOCKS, OWN, type Peer, Stage, statusOf } from "../world/server-stage.ts";
function broken(): DeviceError {
  const facts = { device: "memory:", offsetBytes: 0n, lengthBytes: 4096 };
  return new DeviceError("ERR_HOLDFAST_DEVICE_WRITE", "the device is broken", facts);
}

test("F3: of members that join and leave at the same time nobody is forgotten, and nobody stays", async () => {
  const stage = await Stage.make();
  await stage.serve();
  const rids = [11n, 12n, 13n, 14n, 15n, 16n];
  const peers = await Promise.all(rids.map((rid) => stage.peer(rid)));
  const [leaving, joining] = [peers.slice(0, 3), peers.slice(3)];
  await Promise.all(leaving.map((peer) => peer.ask(Command.join, JOIN)));

  const farewells = leaving.map(({ session }) => session.farewell(FAREWELL));
  const joins = await Promise.all(joining.map((peer) => peer.ask(Command.join, JOIN)));
  await Promise.all(farewells);

  expect(joins).toEqual([0, 0, 0]);
  const { members } = await statusOf(stage, await stage.peer(5n));
  expect(members.map(({ rid }) => rid)).toEqual([14n, 15n, 16n]);
});

test("F12: a farewell is answered behind the commit that removes the record, and not at all if that fails", async () => {
  const stage = await Stage.make();
  await stage.serve();
  const leaver = await stage.peer(11n);
  await leaver.ask(Command.join, JOIN);
  const { device } = stage.world;
  const write = device.write.bind(device);
  const held: (() => void)[] = [];
  Object.assign(device, {
    write: async (...args: Parameters<typeof write>) => {
      await new Promise<void>((resolve) => held.push(resolve));
      await write(...args);
    },
  });
  let isAnswered = false;
  const farewell = leaver.session.farewell(FAREWELL).then(() => {
    isAnswered = true;
  });
  farewell.catch(() => {});

  await stage.world.clock.advance(100);
  expect(isAnswered).toBe(false);
  expect(held.length).toBeGreaterThan(0);
  Object.assign(device, { write: () => Promise.reject(broken()) });
  for (const release of held) release();
  await stage.world.clock.advance(1000);

  expect(isAnswered).toBe(false);
  expect(stage.ended).toHaveLength(1);
});

test("F4: a report of locks that is being confirmed while its member leaves brings no lock back", async () => {
  const stage = await Stage.make();
  const before = await ServerRig.start(stage.world, OWN);
  await before.join(11n);
  await stage.serve(2n);
  const [leaver, other] = [await stage.peer(11n), await stage.peer(5n)];
  await other.ask(Command.join, JOIN);
  const { start, end } = rangeOf(3);
  const locks = [{ start, end, mode: "write" as const, writeSeq: 1n << 40n }];

  // Both are on their way before either is answered; and a part of the report comes behind the farewell.
  const reports = [leaver.ask(Command.reclaim, ReclaimRequest.encode({ locks, isLast: false }))];
  const farewell = leaver.session.farewell(FAREWELL);
  reports.push(leaver.ask(Command.reclaim, ReclaimRequest.encode({ locks: [], isLast: true })));

  expect(await Promise.all(reports)).toEqual([0, Refusal.evicted]);
  await expect(farewell).resolves.toBeUndefined();
  const request = LockRequest.encode({ start, end, mode: "write", held: "null" });
  expect(await other.ask(Command.lock, request)).toBe(0);
});

test("a voter that is held is no offender because its answer to an invalidation came behind its farewell", async () => {
  const stage = await Stage.make();
  await stage.serve();
  await stage.peer(OWN);
  const { start, end } = rangeOf(3);
  const lock = LockRequest.encode({ start, end, mode: "write", held: "null" });
  let answer: (() => void) | undefined;
  const handle: RequestHandler = (_, __, ___, respond) => {
    answer = () => respond(0, InvalidateDone.encode({ start, to: "null" }));
  };
  const [leaver, other] = [await stage.peer(11n, handle), await stage.peer(12n)];
  const voter = JoinRequest.encode({ ...JoinRequest.decode(JOIN), isVoter: true });
  for (const peer of [leaver, other]) await peer.ask(Command.join, voter);
  await other.ask(Command.tune, TuneOperation.encode({ operation: 1n, seen: 0n, votes: 2, isForced: true }));
  await leaver.ask(Command.lock, lock);

  const asked = other.ask(Command.lock, lock);
  const patienceMs = 2 * DEFAULT_MEMBER_TIMING.memberTimeoutMs;
  const farewell = leaver.session.farewell(
    FarewellRequest.encode({ mayBeWritten: false, isServing: false, saidTerm: 1n, patienceMs }),
  );
  expect(await asked).toBe(0);
  answer?.();
  await stage.world.clock.advance(2 * patienceMs);

  await expect(farewell).resolves.toBeUndefined();
});

test.each([
  { isServing: false, isQuarantined: false },
  { isServing: true, isQuarantined: true },
])(
  "the farewell of a server that was succeeded says nothing of its replays: %o",
  async ({ isServing, isQuarantined }) => {
    const stage = await Stage.make();
    await stage.serve();
    const [leaver, other] = [await stage.peer(11n), await stage.peer(5n)];
    await leaver.ask(Command.join, JOIN);

    const farewell = leaver.session.farewell(
      FarewellRequest.encode({ mayBeWritten: false, isServing, saidTerm: 2n, patienceMs: 0 }),
    );
    await stage.world.clock.advance(30);
    await farewell;

    expect((await statusOf(stage, other)).quarantinedBlocks > 0n).toBe(isQuarantined);
  },
);

test("what a member was to compact goes to another one as soon as it is marked as evicted, and waits for no replay", async () => {
  const stage = await Stage.make();
  const before = await ServerRig.start(stage.world, OWN);
  const rids = [11n, 12n];
  for (const rid of rids) await before.join(rid);
  for (let count = 0; count < 5; count += 1)
    await before.record(11n, [await before.write(11n, [`a${count}`, `z${count}`])]);
  // The member of this server never comes, so nothing of an eviction but its mark is ever done.
  await stage.serve(2n);
  const workers: bigint[] = [];
  const handle: RequestHandler = (rid, command, _, respond) => {
    if (command === Command.compact) workers.push(rid);
    respond(0, EMPTY_BODY);
  };
  const peers = new Map<bigint, Peer>();
  for (const rid of rids) peers.set(rid, await stage.peer(rid, handle));
  for (const peer of peers.values()) expect(await peer.ask(Command.reclaim, NO_LOCKS)).toBe(0);
  expect(workers).toHaveLength(1);

  for (const rid of workers) peers.get(rid)?.session.close();
  await stage.world.clock.advance(2 * DEFAULT_MEMBER_TIMING.memberTimeoutMs);

  expect(new Set(workers)).toEqual(new Set(rids));
});

test("a server whose own member said farewell before it served is known when it dies without a last record", async () => {
  const stage = await Stage.make();
  await stage.serve();
  const own = await stage.peer(OWN);
  await own.ask(Command.join, JOIN);
  const farewell = own.session.farewell(FAREWELL);
  await stage.world.clock.advance(30);
  await farewell;

  const { trees, committer } = await stage.world.serve(2n);
  await committer.mutate(() => trees.settle());

  expect(await trees.members.owner(OWN)).toMatchObject({ name: "raw", evidence: { kind: "none" } });
});
