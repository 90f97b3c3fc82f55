import { NO_BROKEN_RULES, SILENT_LOGGER } from "@holdfast/environment";
import { RECLAIM_LOCKS_MAX, ReclaimRequest } from "@holdfast/lock-protocol";
import { COMMAND_FAREWELL } from "@holdfast/net-reliable";
import { expect, test } from "vitest";
import { ServerLink } from "../../src/client/server-link.ts";
import { DEFAULT_MEMBER_TIMING, EvictedError, NoSpaceError } from "../../src/index.ts";
import { createLockClient } from "../../src/locks/lock-client-driver.ts";
import type { LockClientDriver } from "../../src/locks/locking.ts";
import { Command, EMPTY_BODY, type Operation, Refusal, TakeExtentRequest } from "../../src/protocol.ts";
import { NO_PROCESS } from "../../src/volume/process-record.ts";
import { rangeOf } from "../locks/lock-wiring.ts";
import { identity, JOURNAL, Server, World } from "./scripted-server.ts";

const RID = 5n;
const LAST_WORD = { mayBeWritten: false, isServing: false };

interface Fixture {
  readonly world: World;
  readonly link: ServerLink;
  readonly locks: LockClientDriver;
  readonly losses: Error[];
}

function begin(): Fixture {
  const world = new World();
  const { clock } = world;
  const losses: Error[] = [];
  const { fsid, formatHash, key } = identity;
  const link: ServerLink = new ServerLink(
    {
      superBlock: {
        fsid,
        formatHash,
        key,
        formatVersion: 1,
        blockCount: 1n,
        termsMax: 64,
        termBase: 0n,
        generation: 0,
        isRenewing: false,
        votes: 1,
        label: "",
        renewer: 0n,
        renewerProcess: NO_PROCESS,
      },
      rid: RID,
      join: { isVoter: false, address: "", name: "test", process: NO_PROCESS },
      timing: DEFAULT_MEMBER_TIMING,
      findServer: () => Promise.resolve(world.serverAddress),
      isForgotten: () => Promise.resolve(world.isForgotten),
      onVotes: () => {},
      handle: (_, __, ___, respond) => respond(Refusal.unknownCommand, EMPTY_BODY),
      onHeard: () => {},
      onLost: (error) => losses.push(error),
    },
    () => locks,
    world.ports,
  );
  const locks = createLockClient({
    call: link.call,
    commandLock: Command.lock,
    idleLimit: 10_000,
    brokenRules: NO_BROKEN_RULES,
    flush: () => Promise.resolve(),
    onError: (error) => losses.push(error as Error),
    clock,
    log: SILENT_LOGGER,
  });
  return { world, link, locks, losses };
}

async function joined(): Promise<Fixture & { readonly server: Server }> {
  const fixture = begin();
  const server = await Server.start(fixture.world, 1n);
  await fixture.world.clock.advance(30);
  return { ...fixture, server };
}

/** The server is gone, and the next one is there. */
async function succeed({ world }: Fixture, { sessions }: Server, term: bigint): Promise<Server> {
  await sessions.close();
  const next = await Server.start(world, term);
  await world.clock.advance(500);
  return next;
}

test("a member joins once, before anything else is asked", async () => {
  const fixture = begin();
  const { world, link } = fixture;
  const early = link.request(Command.manifest, EMPTY_BODY);
  const server = await Server.start(world, 1n);
  await world.clock.advance(300);
  world.network.cut();
  await world.clock.advance(300);
  await early;

  expect(await link.joined).toEqual({
    number: 3,
    journal: JOURNAL,
    evictGeneration: 0n,
    votes: 1,
  });
  expect(server.asked).toEqual([Command.join, Command.manifest]);
  expect([link.term, link.isConnected, link.failure]).toEqual([1n, true, undefined]);
});

test("a new server is told every lock, in parts, before it is asked for anything", async () => {
  const fixture = await joined();
  const { link, locks, world, server } = fixture;
  const holds = Array.from({ length: RECLAIM_LOCKS_MAX + 10 }, (_, index) => {
    const { start, end } = rangeOf(index % 256);
    const [first, last] = [start.slice(), end.slice()];
    first[1] = Math.floor(index / 256);
    last.fill(0xff, 2);
    last[1] = Math.floor(index / 256);
    return locks.acquire({ start: first, end: last }, "write");
  });
  await world.clock.advance(100);
  for (const hold of await Promise.all(holds)) hold.release();
  server.refusals.set(Command.manifest, 0);
  const asked = link.request(Command.manifest, EMPTY_BODY);
  await world.clock.advance(10);

  const next = await succeed(fixture, server, 2n);
  await asked;

  expect(next.asked).toEqual([Command.reclaim, Command.reclaim, Command.manifest]);
  const reports = next.bodies.slice(0, 2).map((body) => ReclaimRequest.decode(body));
  expect(reports.map(({ locks: reported, isLast }) => [reported.length, isLast])).toEqual([
    [RECLAIM_LOCKS_MAX, false],
    [10, true],
  ]);
  expect(link.term).toBe(2n);
});

test("an operation keeps its number over servers, and each one tells which results have arrived", async () => {
  const fixture = await joined();
  const { link, world, server } = fixture;
  const operations: Operation[] = [];
  const take = (): Promise<Uint8Array> =>
    link.operation(Command.takeExtent, (operation) => {
      operations.push(operation);
      return TakeExtentRequest.encode({ ...operation, blocks: 1 });
    });
  await Promise.all([take(), take(), world.clock.advance(30)]);
  server.refusals.set(Command.takeExtent, 0);
  const third = take();
  await world.clock.advance(30);
  const unanswered = server.bodies.at(-1);

  const next = await succeed(fixture, server, 2n);
  await third;
  await Promise.all([take(), world.clock.advance(30)]);

  expect(next.bodies[next.asked.indexOf(Command.takeExtent)]).toEqual(unanswered);
  expect(operations).toEqual([
    { operation: 1n, seen: 0n },
    { operation: 2n, seen: 0n },
    { operation: 3n, seen: 2n },
    { operation: 4n, seen: 3n },
  ]);
});

test("an operation that was refused has been answered, too", async () => {
  const { link, world, server } = await joined();
  server.refusals.set(Command.takeExtent, Refusal.noSpace);
  const numbers: Operation[] = [];
  const take = (): Promise<unknown> =>
    link
      .operation(Command.takeExtent, (operation) => {
        numbers.push(operation);
        return EMPTY_BODY;
      })
      .catch((error: unknown) => error);

  const [first] = await Promise.all([take(), world.clock.advance(30)]);
  await Promise.all([take(), world.clock.advance(30)]);

  expect(first).toBeInstanceOf(NoSpaceError);
  expect(numbers[1]).toEqual({ operation: 2n, seen: 1n });
});

test("refusals are errors that name the command, and leave the membership as it is", async () => {
  const { link, world, server, losses } = await joined();
  server.refusals.set(Command.manifest, Refusal.internal);
  const outcome = link.request(Command.manifest, EMPTY_BODY).catch((error: unknown) => error);
  await world.clock.advance(30);

  expect(await outcome).toMatchObject({
    code: "ERR_HOLDFAST_OPERATION_REFUSED",
    facts: { command: Command.manifest, refusal: Refusal.internal },
  });
  expect(losses).toEqual([]);
});

test("a member that was evicted is told once: everything fails, nothing is asked any more, no timer is left", async () => {
  const fixture = await joined();
  const { link, world, server, losses } = fixture;
  server.refusals.set(Command.manifest, Refusal.evicted);
  server.refusals.set(Command.status, 0);
  const calls = [Command.status, Command.manifest].map((command) =>
    link.request(command, EMPTY_BODY).catch((error: unknown) => error),
  );
  const waiting = link.termAfter(1n).catch((error: unknown) => error);
  await world.clock.advance(50);

  for (const outcome of [...(await Promise.all(calls)), await waiting])
    expect(outcome).toBeInstanceOf(EvictedError);
  expect(losses).toHaveLength(1);
  await expect(link.request(Command.manifest, EMPTY_BODY)).rejects.toBe(losses[0]);
  await expect(link.farewell(LAST_WORD)).rejects.toBe(losses[0]);
  await expect(link.termAfter(0n)).rejects.toBe(losses[0]);
  expect(link.lease.isValid).toBe(false);
  await server.sessions.close();
  await world.clock.advance(1000);
  expect(world.clock.timersCount).toBe(0);
});

test("a new server that does not know the member has evicted it", async () => {
  const fixture = await joined();
  const { world, server, losses } = fixture;
  await server.sessions.close();
  const next = await Server.start(world, 2n);
  next.refusals.set(Command.reclaim, Refusal.evicted);
  await world.clock.advance(500);

  expect(losses).toHaveLength(1);
  expect(losses[0]).toBeInstanceOf(EvictedError);
});

test.each([
  [Refusal.noSpace, "ERR_HOLDFAST_NO_SPACE"],
  [Refusal.tooManyMembers, "ERR_HOLDFAST_OPERATION_REFUSED"],
  [Refusal.internal, "ERR_HOLDFAST_OPERATION_REFUSED"],
])("a join that is refused with %d is not tried again", async (refusal, code) => {
  const { world, link, losses } = begin();
  const server = await Server.start(world, 1n);
  server.refusals.set(Command.join, refusal);
  const outcome = link.joined.catch((error: unknown) => error);

  await world.clock.advance(2000);

  expect(await outcome).toMatchObject({ code });
  expect(losses).toMatchObject([{ code }]);
  expect(server.asked).toEqual([Command.join]);
});

test("a join whose answer is lost with its server is asked again at the next", async () => {
  const fixture = begin();
  const { world, link } = fixture;
  const server = await Server.start(world, 1n);
  server.refusals.set(Command.join, 0);
  await world.clock.advance(50);

  const next = await succeed(fixture, server, 2n);

  expect((await link.joined).number).toBe(3);
  expect([server.asked, next.asked]).toEqual([[Command.join], [Command.join]]);
});

test("who waits for a later term goes on when its server has counted the member in", async () => {
  const fixture = await joined();
  const { link, server } = fixture;
  await link.termAfter(0n);
  let isLater = false;
  const later = link.termAfter(1n).then(() => {
    isLater = true;
  });
  await fixture.world.clock.advance(50);
  expect(isLater).toBe(false);

  await succeed(fixture, server, 2n);
  await later;

  expect(link.term).toBe(2n);
});

test("a confirmation brings the evictions so far, and so does a new server", async () => {
  const fixture = await joined();
  const { link, world, server } = fixture;
  server.evictGeneration = 4n;
  await Promise.all([link.confirm(), world.clock.advance(30)]);
  expect(link.evictGeneration).toBe(4n);

  await server.sessions.close();
  const next = await Server.start(world, 2n);
  next.evictGeneration = 9n;
  await world.clock.advance(500);

  expect(link.evictGeneration).toBe(9n);
});

test("the lease runs while the server answers, and is over when it has been silent for that long", async () => {
  const { link, world } = await joined();
  await world.clock.advance(5000);
  expect(link.lease.isValid).toBe(true);

  world.network.isSilent = true;
  await world.clock.advance(DEFAULT_MEMBER_TIMING.leaseMs + 1);

  expect(link.lease.isValid).toBe(false);
});

test("a member that leaves reports nothing to a new server: it only says farewell there", async () => {
  const fixture = await joined();
  const { link, server, losses } = fixture;
  server.refusals.set(COMMAND_FAREWELL, 0);
  const farewell = link.farewell(LAST_WORD);
  await fixture.world.clock.advance(30);

  const next = await succeed(fixture, server, 2n);
  await farewell;

  expect(next.asked).toEqual([COMMAND_FAREWELL]);
  expect(losses).toEqual([]);
  expect(link.lease.isValid).toBe(false);
});

test("F6: a farewell that no server answers ends when the volume says that the member is none any more", async () => {
  const { world, link, server } = await joined();
  server.refusals.set(COMMAND_FAREWELL, 0);
  let isGone = false;
  const farewell = link.farewell(LAST_WORD).then(() => {
    isGone = true;
  });
  await world.clock.advance(2000);
  world.isForgotten = true;
  await world.clock.advance(2000);
  // While a server is connected, its answer is what counts.
  expect(isGone).toBe(false);

  world.serverAddress = undefined;
  await server.sessions.close();
  await world.clock.advance(2000);

  await farewell;
  link.close(new Error("done"));
});

test("a member that has said farewell is not evicted by the answers to what it asked besides", async () => {
  const { link, world, server, losses } = await joined();
  server.refusals.set(COMMAND_FAREWELL, 0);
  server.refusals.set(Command.manifest, Refusal.evicted);
  const farewell = link.farewell(LAST_WORD);
  await expect(
    Promise.all([link.request(Command.manifest, EMPTY_BODY), world.clock.advance(30)]),
  ).rejects.toMatchObject({ code: "ERR_HOLDFAST_CLOSED" });
  expect(losses).toEqual([]);

  await server.sessions.close();
  await Server.start(world, 2n);
  await world.clock.advance(500);

  await farewell;
  expect(losses).toEqual([]);
});

test("a farewell to a server that has evicted the member says so", async () => {
  const { link, world, server } = await joined();
  server.refusals.set(COMMAND_FAREWELL, Refusal.evicted);
  const outcome = link.farewell(LAST_WORD).catch((error: unknown) => error);

  await world.clock.advance(30);

  expect(await outcome).toBeInstanceOf(EvictedError);
});

test("closed by its owner, everything that waits fails with the owner's reason", async () => {
  const { link, world, server } = await joined();
  server.refusals.set(Command.status, 0);
  const outcome = link.request(Command.status, EMPTY_BODY).catch((error: unknown) => error);
  const reason = new Error("closed");
  await world.clock.advance(10);

  link.close(reason);
  link.close(new Error("later"));

  expect(await outcome).toBe(reason);
  await expect(link.lease.valid()).rejects.toBe(reason);
});
