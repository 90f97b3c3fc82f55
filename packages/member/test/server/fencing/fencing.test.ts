import { expect, test } from "vitest";
import { NO_EVIDENCE } from "../../../src/index.ts";
import { FencingRig, processOf, TestAgent, TestProcesses } from "../../world/fencing-rig.ts";

const DEAD = 11n;

async function ownerOf(
  rig: FencingRig,
  rid = DEAD,
): ReturnType<typeof rig.server.server.trees.members.owner> {
  return rig.server.server.trees.members.owner(rid);
}

test("F4: what a dead member could write to stays in quarantine while nothing confirms its end", async () => {
  const rig = await FencingRig.start();
  await rig.loses(DEAD);
  const { quarantined } = rig;

  await rig.pass(600_000);

  expect(quarantined).toBeGreaterThan(100);
  expect(rig.quarantined).toBe(quarantined);
  expect(await ownerOf(rig)).toMatchObject({ name: "m11", address: "memory:11", evidence: NO_EVIDENCE });
  expect(await rig.audit()).toEqual([]);
  expect(rig.world.clock.timersCount).toBe(0);
});

test("F4: once its end is confirmed all of it is free, and its owner forgotten", async () => {
  const rig = await FencingRig.start();
  const { freeBlocks } = rig.server.server.trees.free;
  await rig.loses(DEAD);

  const isOwner = await rig.fencing.confirm(DEAD, rig.fencing.evidence("operator", "ada"));

  expect(isOwner).toBe(true);
  expect(rig.quarantined).toBe(0);
  expect(rig.server.server.trees.free.freeBlocks).toBe(freeBlocks);
  expect(await ownerOf(rig)).toBeUndefined();
  expect(await rig.audit()).toEqual([]);
  expect(rig.server.events).toContain("quarantine.released");
});

test("F7: evidence says who, how and when, and is committed before the first block comes back", async () => {
  const rig = await FencingRig.start();
  await rig.loses(DEAD);
  const { trees, committer } = rig.server.server;
  const seen: unknown[] = [];
  const release = rig.fencing.confirm(DEAD, rig.fencing.evidence("operator", "ada"));
  const { quarantined } = rig;
  // The change that follows the evidence.
  seen.push(
    await committer.mutate(async () => [(await trees.members.owner(DEAD))?.evidence, rig.quarantined]),
  );

  await release;

  const atMs = BigInt(Math.floor(rig.world.clock.wallMs()));
  expect(seen).toEqual([[{ kind: "operator", by: "ada", atMs }, quarantined]]);
});

test("F7: a member whose end is confirmed twice is released once", async () => {
  const rig = await FencingRig.start();
  await rig.loses(DEAD);
  const { freeBlocks } = rig.server.server.trees.free;
  const { quarantined } = rig;
  const evidence = rig.fencing.evidence("operator", "ada");

  const outcomes = [
    await Promise.all([rig.fencing.confirm(DEAD, evidence), rig.fencing.confirm(DEAD, evidence)]),
    await rig.fencing.confirm(DEAD, evidence),
  ];

  expect(outcomes).toEqual([[true, true], false]);
  expect(rig.server.server.trees.free.freeBlocks).toBe(freeBlocks + quarantined);
  expect(rig.server.events.filter((event) => event === "quarantine.released")).toHaveLength(1);
});

test("F7: a member that is not evicted yet keeps its blocks, whatever is said of it", async () => {
  const rig = await FencingRig.start();
  await rig.server.join(DEAD);
  await rig.server.take(DEAD, 50);

  const isOwner = await rig.fencing.confirm(DEAD, rig.fencing.evidence("operator", "ada"));

  expect(isOwner).toBe(false);
  expect(await rig.server.server.trees.members.grants(DEAD)).toHaveLength(1);
});

test("a dead process of this host is found without anybody's help, also when it was only frozen at first", async () => {
  const processes = new TestProcesses();
  const rig = await FencingRig.start(undefined, 1n, { processes });
  await rig.loses(DEAD, processOf(11));
  await rig.pass(5000);
  expect(rig.quarantined).toBeGreaterThan(0);

  processes.gone.add(11);
  await rig.pass(10_000);

  expect(rig.quarantined).toBe(0);
  expect(rig.world.clock.timersCount).toBe(0);
});

test.each([
  ["of another host", { bootId: "boot-2" }],
  ["in another container", { namespace: 10n }],
  ["that says nothing of itself", { bootId: "" }],
  ["that writes over a network", { isDeviceLocal: false }],
])("silence is no evidence: nobody even looks for a process %s", async (_, difference) => {
  const processes = new TestProcesses();
  processes.gone.add(11);
  const rig = await FencingRig.start(undefined, 1n, { processes });

  await rig.loses(DEAD, processOf(11, difference));
  await rig.pass(60_000);

  expect(processes.looks).toBe(0);
  expect(rig.quarantined).toBeGreaterThan(0);
});

test("the fence agent is told who it is about, and its word releases the blocks", async () => {
  const agent = new TestAgent();
  const rig = await FencingRig.start(undefined, 1n, { agent });
  await rig.loses(DEAD, processOf(11, { bootId: "boot-2", hostName: "host-2" }));
  await rig.pass();

  agent.answer(true);
  await rig.pass();

  expect(agent.asked).toMatchObject([
    { rid: DEAD, address: "memory:11", process: { hostName: "host-2", pid: 11 } },
  ]);
  expect(rig.quarantined).toBe(0);
});

test("an agent that fails is asked again, later each time, and told of", async () => {
  const agent = new TestAgent();
  const rig = await FencingRig.start(undefined, 1n, { agent });
  await rig.loses(DEAD);
  const askedAtMs: number[] = [];
  for (let count = 1; count <= 14; count += 1) {
    while (agent.asked.length < count) await rig.pass(100);
    askedAtMs.push(rig.world.clock.now());
    agent.answer(false);
    await rig.pass();
  }

  const waits = askedAtMs.map((ms, index) => ms - (askedAtMs[index - 1] ?? ms)).slice(1);

  expect(waits.every((ms, index) => ms + 200 >= (waits[index - 1] ?? 0))).toBe(true);
  expect(waits.at(-1)).toBeGreaterThan(295_000);
  expect(waits.at(-1)).toBeLessThan(305_000);
  expect(rig.server.events.filter((event) => event === "fence.not-confirmed")).toHaveLength(14);
  expect(rig.fencing.problemOf(DEAD)).toBe("said so");
  expect(rig.quarantined).toBeGreaterThan(0);
  rig.fencing.close();
});

test("an agent that answers for somebody else confirms nobody's end", async () => {
  const agent = new TestAgent();
  const rig = await FencingRig.start(undefined, 1n, { agent });
  await rig.loses(DEAD);
  await rig.loses(12n);
  await rig.pass();

  agent.answer(true, 12n);
  await rig.pass();

  expect((await ownerOf(rig))?.evidence.kind).toBe("none");
  expect((await ownerOf(rig, 12n))?.evidence.kind).toBe("none");
  expect(rig.fencing.problemOf(DEAD)).toContain("it answered for c");
  rig.fencing.close();
});

test("an agent that hangs has one question of each member, keeps nobody waiting, and ends with the reign", async () => {
  const agent = new TestAgent();
  const rig = await FencingRig.start(undefined, 1n, { agent });
  for (let rid = DEAD; rid < DEAD + 6n; rid += 1n) await rig.loses(rid, processOf(Number(rid)), 10);
  for (let count = 0; count < 3; count += 1) for (let rid = DEAD; rid < 17n; rid += 1n) rig.fencing.look(rid);
  await rig.pass(30_000);

  expect(agent.asked.map(({ rid }) => rid)).toEqual([11n, 12n, 13n, 14n]);
  expect((await rig.server.take(1n, 5)).lengthBlocks).toBe(5);
  rig.fencing.close();
  await rig.pass(600_000);
  expect(agent.cancelled).toEqual([11n, 12n, 13n, 14n]);
  expect(agent.asked).toHaveLength(4);
  expect(rig.fatal).toEqual([]);
});

test("a member that had to wait for its turn with the agent is asked about as soon as there is one", async () => {
  const agent = new TestAgent();
  const rig = await FencingRig.start(undefined, 1n, { agent });
  for (let rid = DEAD; rid < DEAD + 5n; rid += 1n) await rig.loses(rid, processOf(Number(rid)), 10);
  await rig.pass(60_000);
  expect(agent.asked).toHaveLength(4);

  agent.answer(false);
  await rig.pass(600);

  expect(agent.asked.map(({ rid }) => rid)).toContain(DEAD + 4n);
  rig.fencing.close();
});

test("an operator need not wait for an agent that hangs", async () => {
  const agent = new TestAgent();
  const rig = await FencingRig.start(undefined, 1n, { agent });
  await rig.loses(DEAD);
  await rig.pass();

  await rig.fencing.confirm(DEAD, rig.fencing.evidence("operator", "ada"));
  agent.answer(true);
  await rig.pass(600_000);

  expect(rig.quarantined).toBe(0);
  expect(agent.asked).toHaveLength(1);
  expect(rig.fatal).toEqual([]);
});
