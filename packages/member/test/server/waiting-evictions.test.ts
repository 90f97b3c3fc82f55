/*
 * Dead members on a full volume: an operator is told who waits, and what to do.
 */
import { type Logger, MIB, SILENT_LOGGER } from "@holdfast/environment";
import { Journal, userKey } from "@holdfast/item-store";
import { expect, test } from "vitest";
import { Evictions } from "../../src/server/evictions.ts";
import { ServerRig } from "../world/server-rig.ts";
import { ServerWorld } from "../world/server-world.ts";

const OWN = 1n;
const DEAD = [11n, 12n, 13n];

/** A full volume with dead members whose journals hold something, and what is logged of them. */
async function fullVolume(): Promise<{
  readonly server: ServerRig;
  readonly evictions: Evictions;
  readonly lines: object[];
}> {
  const server = await ServerRig.start(await ServerWorld.format(32 * MIB), OWN);
  const { device, fsid, clock } = server.world;
  const { committer, trees, leadership } = server.server;
  await server.join(OWN);
  for (const rid of DEAD) {
    const [first, second] = (await server.join(rid)).journal;
    if (first === undefined || second === undefined) throw new Error("a journal has two halves");
    const journal = new Journal({ device, fsid, rid, region: { first, second } });
    journal.entry.begin(64);
    journal.entry.add(userKey(1n, new Uint8Array([Number(rid)])), 5n, new Uint8Array(16));
    await journal.append();
  }
  await committer.mutate(async () => {
    while (trees.free.freeBlocks - trees.free.unsettledBlocks > 0)
      await trees.members.grant(OWN, await trees.take(1_000_000, "a test"));
  });
  const lines: object[] = [];
  const log: Logger = { ...SILENT_LOGGER, error: (facts) => lines.push(facts) };
  const evictions = new Evictions({
    device,
    fsid,
    rid: OWN,
    term: leadership.term,
    clock,
    committer,
    ownMember: Promise.resolve(),
    onDone: () => {},
    onFatal: (error) => server.server.fatal.push(error),
    log,
  });
  for (const rid of DEAD) await evictions.mark(rid);
  return { server, evictions, lines };
}

test("one line a second names all dead members whose locks wait for space, and not one line for each of them", async () => {
  const { server, evictions, lines } = await fullVolume();

  for (const rid of DEAD) await evictions.finish(rid);
  await server.world.clock.advance(1500);

  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({
    event: "member.eviction-waits",
    waitingCount: 3,
    waiting: DEAD,
    quarantinedBlocks: 0,
    remedy: "delete items",
  });
});

test("where the quarantine holds blocks the line says that fencing helps", async () => {
  const { server, evictions, lines } = await fullVolume();
  const { committer, trees, leadership } = server.server;
  const [held] = await trees.members.grants(OWN);
  if (held === undefined) throw new Error("nothing is held");
  await committer.mutate(async () => {
    await trees.members.revoke(OWN, held);
    await trees.quarantine(held, 99n, leadership.term);
  });

  await evictions.finish(DEAD[0] ?? 0n);

  expect(lines).toMatchObject([{ quarantinedBlocks: held.lengthBlocks, remedy: "holdfast fence" }]);
});
