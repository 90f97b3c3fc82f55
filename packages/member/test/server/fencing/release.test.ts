import { BTree } from "@holdfast/btree";
import { BlockError } from "@holdfast/wire-format";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { NodeStore } from "../../../src/index.ts";
import { FencingRig, processOf } from "../../world/fencing-rig.ts";
import { DRAINED } from "../../world/server-rig.ts";
import { ServerWorld } from "../../world/server-world.ts";

const FORMER = 1n;
const NEXT = 2n;

/** Somebody with so much in the trees that one server writes only some of their nodes. */
const ELSEWHERE = 500n;

/** Writes the entries with these numbers, a few to a node. */
async function write({ server }: FencingRig, from: number, to: number, fill: number): Promise<void> {
  for (let number = from; number < to; number += 20)
    await server.server.committer.mutate(async (trees) => {
      for (let at = number; at < Math.min(to, number + 20); at += 1)
        await trees.members.keepResult(ELSEWHERE, BigInt(at), 0n, new Uint8Array(400).fill(fill));
    });
}

/** A server that leaves nodes all over its grants and dies; then the next one, which has evicted it. */
async function succeeded(entries = 400): Promise<FencingRig> {
  const former = await FencingRig.start(await ServerWorld.format(), FORMER);
  await write(former, 0, entries, 1);
  const next = await FencingRig.start(former.world, NEXT);
  await next.evict(FORMER);
  return next;
}

async function all(tree: BTree): Promise<number> {
  let count = 0;
  for await (const { value } of tree.scan()) count += value.length;
  return count;
}

function retained(rig: FencingRig): number {
  return rig.server.server.committer.committed.retained.blocks;
}

test("F6: the next server puts everything its predecessor may still write to into quarantine, its metadata too", async () => {
  const rig = await succeeded();

  const { committer, trees } = rig.server.server;
  expect(committer.committed.orphans).toEqual([]);
  expect(rig.quarantined).toBeGreaterThan(128 + 2 * 256);
  expect((await trees.members.owner(FORMER))?.name).toBe("m1");
  expect(await rig.audit()).toEqual([]);
});

test("F1: of a dead server's metadata only what no tree reaches comes back; the rest stays as it is, under nobody", async () => {
  const rig = await succeeded();
  const { trees, committer } = rig.server.server;
  const before = await committer.read((all) => all.reachedElsewhere());

  await rig.fencing.confirm(FORMER, rig.fencing.evidence("operator", "ada"));

  expect(rig.quarantined).toBe(0);
  expect(retained(rig)).toBeGreaterThan(30);
  expect(retained(rig)).toBeLessThanOrEqual(before.length);
  expect(await trees.members.owner(FORMER)).toBeUndefined();
  expect(await rig.audit()).toEqual([]);
});

test("F1: a dead server's node that trees drop comes back once enough of them have gathered", async () => {
  const rig = await succeeded();
  await rig.fencing.confirm(FORMER, rig.fencing.evidence("operator", "ada"));
  const { trees } = rig.server.server;
  const before = retained(rig);

  await write(rig, 0, 400, 2);
  const dropped = trees.droppedElsewhere;
  const { freeBlocks } = trees.free;
  rig.fencing.recorded(dropped);
  await rig.pass();

  expect(dropped).toBeGreaterThan(40);
  expect(before - retained(rig)).toBe(dropped);
  expect(trees.free.freeBlocks).toBe(freeBlocks + dropped);
  expect(await rig.audit()).toEqual([]);
});

test("F1: nodes that a server dropped and did not live to release come back at the next one", async () => {
  const rig = await succeeded();
  await rig.fencing.confirm(FORMER, rig.fencing.evidence("operator", "ada"));
  await write(rig, 0, 200, 2);
  const before = retained(rig);

  const next = await FencingRig.start(rig.world, 3n);
  await next.fencing.open();

  expect(retained(next)).toBeLessThan(before - 10);
  expect(await next.audit()).toEqual([]);
});

test("F2: a released node that holds data since is an error to who still has an older root, and never a node", async () => {
  const rig = await succeeded();
  const { device, fsid } = rig.world;
  const { membersRoot } = rig.server.server.committer.committed;
  const nodes: bigint[] = [];
  for await (const block of new BTree(membersRoot, new NodeStore(device, fsid)).reachedBlocks())
    nodes.push(block);
  await write(rig, 0, 400, 2);
  await rig.fencing.confirm(FORMER, rig.fencing.evidence("operator", "ada"));
  await rig.server.server.committer.mutate(async (trees) => {
    while (trees.free.freeBlocks > trees.free.unsettledBlocks)
      await trees.members.grant(NEXT, await trees.take(100_000, "a test"));
  });
  const taken = await rig.server.server.trees.members.grants(NEXT);
  const reused = nodes.filter((block) =>
    taken.some(({ start, lengthBlocks }) => block >= start && block < start + BigInt(lengthBlocks)),
  );

  for (const block of reused) device.block(block).fill(0x5a);

  expect(reused.length).toBeGreaterThan(20);
  await expect(all(new BTree(membersRoot, new NodeStore(device, fsid)))).rejects.toBeInstanceOf(BlockError);
  expect(await rig.audit()).toEqual([]);
});

test("F6: what a server that resigned was granted needs no evidence: nothing of it is on its way", async () => {
  const former = await FencingRig.start(await ServerWorld.format(), FORMER);
  await former.server.requests.farewell(FORMER, { mayBeWritten: false, isServing: true, saidTerm: 9n });
  expect(await former.server.server.trees.members.owner(FORMER)).toBeDefined();
  await former.server.server.committer.resign(new Error("left"));

  const next = await FencingRig.start(former.world, NEXT);
  await next.fencing.open();

  expect(next.quarantined).toBe(0);
  expect(await next.server.server.trees.members.owners()).toEqual(new Map());
  expect(await next.audit()).toEqual([]);
});

test("F6: a server that said farewell and died before its last record may still write, whatever its farewell said", async () => {
  const former = await FencingRig.start(await ServerWorld.format(), FORMER);
  await former.server.requests.farewell(FORMER, { mayBeWritten: false, isServing: true, saidTerm: 9n });

  const next = await FencingRig.start(former.world, NEXT);
  await next.fencing.open();

  expect(next.quarantined).toBeGreaterThan(0);
  expect(await next.server.server.trees.members.owner(FORMER)).toMatchObject({
    name: "m1",
    process: processOf(1),
    evidence: { kind: "none" },
  });
});

test("F6: a farewell proves nothing about a reign that ended after it", async () => {
  const former = await FencingRig.start(await ServerWorld.format(), FORMER);
  const { trees, committer } = former.server.server;
  await former.server.requests.farewell(FORMER, { mayBeWritten: false, isServing: true, saidTerm: 9n });
  await committer.mutate(async () => {
    const owner = await trees.members.owner(FORMER);
    if (owner !== undefined)
      await trees.members.putOwner(FORMER, { ...owner, evidence: former.fencing.evidence("farewell") });
  });

  const next = await FencingRig.start(former.world, NEXT);
  await next.fencing.open();

  expect((await next.server.server.trees.members.owner(FORMER))?.evidence.kind).toBe("none");
  expect(next.quarantined).toBeGreaterThan(0);
});

test.each([
  { saidTerm: 2n, evidence: "farewell" },
  { saidTerm: 1n, evidence: "none" },
])("F6: of a reign that began behind a farewell, it proves nothing: %o", async ({ saidTerm, evidence }) => {
  const { server } = await FencingRig.start(await ServerWorld.format(), FORMER);
  expect(server.server.leadership.term).toBe(2n);
  const next = await FencingRig.start(server.world, NEXT);

  await next.server.requests.farewell(FORMER, { ...DRAINED, saidTerm });

  expect((await next.server.server.trees.members.owner(FORMER))?.evidence.kind).toBe(evidence);
  expect(next.quarantined).toBeGreaterThan(0);
});

test("F6: blocks that a reign behind a farewell was writing to, in the name of its member, are free to nobody", async () => {
  const { server } = await FencingRig.start(await ServerWorld.format(), FORMER);
  const replayed = await server.take(FORMER, 40);
  const next = await FencingRig.start(server.world, NEXT);

  await next.server.requests.farewell(FORMER, { ...DRAINED, saidTerm: 1n });

  const held: bigint[] = [];
  for await (const { extent } of next.server.server.trees.quarantined(FORMER)) held.push(extent.start);
  expect(held).toContain(replayed.start);
  expect(await next.audit()).toEqual([]);
});

test("F7: a release that a crash cuts off at any write is finished by the next server", async () => {
  const world = (await succeeded(100)).world;
  const image = world.device.bytes.slice();
  let survived = 0;
  for (let writes = 0; ; writes += 1) {
    world.device.bytes = image.slice();
    const rig = await FencingRig.start(world, 3n);
    await rig.evict(NEXT);
    let left = writes;
    world.device.onWrite = () => {
      if (left === 0) throw new Error("died");
      left -= 1;
    };
    const outcome = await rig.fencing.confirm(FORMER, rig.fencing.evidence("operator", "ada")).then(
      () => "done",
      () => "died",
    );
    world.device.onWrite = () => {};
    if (outcome === "done") break;
    survived += 1;

    const next = await FencingRig.start(world, 4n);
    await next.evict(3n);
    await next.fencing.open();
    await next.pass();
    await next.fencing.confirm(FORMER, next.fencing.evidence("operator", "ada"));
    await next.fencing.confirm(NEXT, next.fencing.evidence("operator", "ada"));
    await next.fencing.confirm(3n, next.fencing.evidence("operator", "ada"));

    expect(next.quarantined).toBe(0);
    expect(await next.audit()).toEqual([]);
  }
  expect(survived).toBeGreaterThan(5);
});

type MemberStep =
  | { readonly type: "join" | "leave" | "die" | "taint"; readonly member: number }
  | { readonly type: "take"; readonly member: number; readonly blocks: number };

type Step =
  | MemberStep
  | { readonly type: "confirm"; readonly member: number }
  | { readonly type: "sweep" }
  | { readonly type: "succeed" };

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({ type: fc.constantFrom("join", "leave", "die", "taint"), member: fc.nat(5) }),
    fc.record({ type: fc.constant("take"), member: fc.nat(5), blocks: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ type: fc.constant("confirm"), member: fc.nat(9) }),
    fc.record({ type: fc.constant("sweep") }),
    fc.record({ type: fc.constant("succeed") }),
  ),
  { maxLength: 25 },
);

/** Runs a history; members that are to do what they cannot are left alone. */
async function run(history: readonly Step[]): Promise<FencingRig> {
  let rig = await FencingRig.start(await ServerWorld.format(), FORMER);
  let server = FORMER;
  const rids = new Map<number, bigint>();
  let lastRid = 100n;
  for (const step of history) {
    if (step.type === "sweep") await rig.fencing.open();
    else if (step.type === "succeed") {
      if (server === 9n) continue;
      const former = server;
      server += 1n;
      rig = await FencingRig.start(rig.world, server);
      await rig.evict(former);
    } else if (step.type === "confirm") {
      const rid = step.member < 6 ? rids.get(step.member) : BigInt(step.member - 5);
      if (rid !== undefined) await rig.fencing.confirm(rid, rig.fencing.evidence("agent"));
    } else await ofMember(rig, step);
  }
  await rig.pass();
  return rig;

  async function ofMember(at: FencingRig, step: MemberStep): Promise<void> {
    const { requests } = at.server;
    const rid = rids.get(step.member);
    const isMember = rid !== undefined && (await at.server.server.trees.members.living(rid)) !== undefined;
    if (step.type === "join" && !isMember) {
      lastRid += 1n;
      rids.set(step.member, lastRid);
      await at.server.join(lastRid, processOf(Number(lastRid)));
    } else if (isMember && step.type === "take") await at.server.take(rid, step.blocks);
    else if (isMember && step.type === "die") await at.evict(rid);
    else if (isMember && step.type === "leave") await requests.farewell(rid, DRAINED);
    else if (isMember && step.type === "taint")
      await requests.farewell(rid, { mayBeWritten: true, isServing: false, saidTerm: 9n });
  }
}

test("whatever the history of grants, deaths, fences and successions, every block has one owner, and all come back", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      const rig = await run(history);
      expect(await rig.audit()).toEqual([]);

      const { trees } = rig.server.server;
      for (const rid of (await trees.members.owners()).keys())
        await rig.fencing.confirm(rid, rig.fencing.evidence("operator", "ada"));
      expect(await rig.audit()).toEqual([]);
      expect(rig.quarantined).toBe(0);
      expect(rig.fatal).toEqual([]);
    }),
    { numRuns: 25 },
  );
}, 30_000);
