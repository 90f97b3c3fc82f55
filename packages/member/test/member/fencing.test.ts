import type { FenceAgent, Processes } from "@holdfast/environment";
import { expect, test } from "vitest";
import type { Member } from "../../src/index.ts";
import { processOf, TestAgent } from "../world/fencing-rig.ts";
import { MemberWorld, type TestMember, textOf } from "../world/member-world.ts";

/** Processes of one host. Members are opened as process 1, 2, 3 and so on. */
class Host {
  readonly world: MemberWorld;
  readonly #gone: Set<number> = new Set();
  readonly #pids: Map<TestMember, number> = new Map();

  constructor(world: MemberWorld) {
    this.world = world;
  }

  async open(
    options: { readonly host?: string; readonly fenceAgent?: FenceAgent } = {},
  ): Promise<TestMember> {
    const pid = this.#pids.size + 1;
    const processes: Processes = {
      own: processOf(pid, { bootId: `boot of ${options.host ?? "this host"}` }),
      isGone: (process) => Promise.resolve(this.#gone.has(process.pid)),
    };
    const { fenceAgent } = options;
    const opened = await this.world.open({ processes, ...(fenceAgent === undefined ? {} : { fenceAgent }) });
    this.#pids.set(opened, pid);
    return opened;
  }

  kill(member: TestMember): void {
    member.host.kill();
    this.#gone.add(this.#pids.get(member) ?? 0);
  }
}

async function host(): Promise<Host> {
  return new Host(await MemberWorld.format());
}

async function put({ world }: Host, { member }: TestMember, key: string): Promise<number> {
  const data = await member.dataset();
  const beganMs = world.clock.now();
  await world.finish(data.put(key, key));
  return world.clock.now() - beganMs;
}

async function status({ world }: Host, { member }: TestMember): ReturnType<Member["status"]> {
  return world.finish(member.status());
}

test("a killed member of this host is evicted at once, and its blocks come back without anybody's help", async () => {
  const place = await host();
  const [server, dead] = [await place.open(), await place.open()];
  await put(place, dead, "k");
  await place.world.clock.advance(1000);

  place.kill(dead);
  const tookMs = await put(place, server, "k");
  await place.world.clock.advance(2000);

  expect(tookMs).toBeLessThan(100);
  expect(await status(place, server)).toMatchObject({ quarantinedBlocks: 0n, quarantine: [] });
  expect(server.host.events).toContain("quarantine.released");
});

test("a killed server of this host is replaced, and its own locks go on, without any wait for silence", async () => {
  const place = await host();
  const [server, next] = [await place.open(), await place.open()];
  await put(place, server, "k");
  await place.world.clock.advance(1000);

  place.kill(server);
  const tookMs = await put(place, next, "k");
  await place.world.clock.advance(3000);

  expect(tookMs).toBeLessThan(400);
  expect(await status(place, next)).toMatchObject({ quarantinedBlocks: 0n, quarantine: [] });
});

test("a member of another host is waited for as long as ever, and what it held stays in quarantine", async () => {
  const place = await host();
  const [server, dead] = [await place.open(), await place.open({ host: "another" })];
  await put(place, dead, "k");
  await place.world.clock.advance(1000);

  place.kill(dead);
  const tookMs = await put(place, server, "k");
  await place.world.clock.advance(60_000);

  expect(tookMs).toBeGreaterThan(1500);
  const { quarantine, isQuarantineAlarming } = await status(place, server);
  expect(quarantine).toMatchObject([
    { rid: dead.member.rid, isMember: false, name: "host-2", hostName: "host-1", pid: 2, evidence: "none" },
  ]);
  expect(isQuarantineAlarming).toBe(false);
});

test("a fence agent releases what a member of another host held; nobody waits for it", async () => {
  const agent = new TestAgent();
  const place = await host();
  const [server, dead] = [await place.open({ fenceAgent: agent }), await place.open({ host: "another" })];
  await put(place, dead, "k");
  place.kill(dead);
  await place.world.until(() => agent.asked.length === 1);
  await put(place, server, "k");

  agent.answer(true);
  await place.world.until(() => server.host.events.includes("quarantine.released"));

  expect(agent.asked[0]?.rid).toBe(dead.member.rid);
  expect(await status(place, server)).toMatchObject({ quarantinedBlocks: 0n });
});

test("an operator fences what is in quarantine, through any member", async () => {
  const place = await host();
  const [server, other] = [await place.open(), await place.open()];
  const dead = await place.open({ host: "another" });
  place.kill(dead);
  await place.world.until(() => server.host.events.includes("member.evicted"));

  const { blocks, wasMember } = await place.world.finish(
    other.member.fence(dead.member.rid, { operator: "ada" }),
  );

  expect(blocks).toBeGreaterThan(500);
  expect(wasMember).toBe(false);
  expect(await status(place, server)).toMatchObject({ quarantinedBlocks: 0n });
  await expect(
    place.world.finish(other.member.fence(dead.member.rid, { operator: "ada" })),
  ).rejects.toMatchObject({ code: "ERR_HOLDFAST_FENCE_UNKNOWN" });
});

test("a connected member is fenced by force alone: it is evicted, its lease runs out, then its blocks come back", async () => {
  const place = await host();
  const [server, living] = [await place.open(), await place.open({ host: "another" })];
  await put(place, living, "k");
  const { rid } = living.member;
  await expect(place.world.finish(server.member.fence(rid, { operator: "ada" }))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_FENCE_LIVING",
  });
  expect(living.losses).toEqual([]);
  const beganMs = place.world.clock.now();

  const { wasMember } = await place.world.finish(
    server.member.fence(rid, { isForced: true, operator: "ada" }),
  );

  expect(wasMember).toBe(true);
  expect(place.world.clock.now() - beganMs).toBeGreaterThan(600);
  expect(await status(place, server)).toMatchObject({ quarantinedBlocks: 0n, quarantine: [] });
  expect(living.losses).toMatchObject([{ code: "ERR_HOLDFAST_EVICTED" }]);
  const data = await server.member.dataset();
  expect(textOf(await place.world.finish(data.get("k")))).toBe("k");
});

test("the member that serves is not fenced", async () => {
  const place = await host();
  const [server, other] = [await place.open(), await place.open()];

  const fence = other.member.fence(server.member.rid, { isForced: true, operator: "ada" });

  await expect(place.world.finish(fence)).rejects.toMatchObject({ code: "ERR_HOLDFAST_FENCE_SERVES" });
});

test("a fence that its server does not live to finish is done by the next one", async () => {
  const place = await host();
  const [server, next] = [await place.open(), await place.open()];
  const dead = await place.open({ host: "another" });
  place.kill(dead);
  await place.world.clock.advance(100);
  const fence = next.member.fence(dead.member.rid, { operator: "ada" });
  await place.world.clock.advance(50);

  place.kill(server);
  await place.world.finish(fence);
  await place.world.clock.advance(3000);

  expect(await status(place, next)).toMatchObject({ quarantinedBlocks: 0n, quarantine: [] });
});

test("members that come and go leave nothing in quarantine", async () => {
  const place = await host();
  for (let round = 0; round < 4; round += 1) {
    const member = await place.open();
    await put(place, member, `k${round}`);
    await place.world.finish(member.member.close());
  }

  const last = await place.open();
  await place.world.clock.advance(1000);

  expect(await status(place, last)).toMatchObject({ quarantinedBlocks: 0n, quarantine: [] });
});

test("a server that leaves in the middle of a release leaves in order", async () => {
  const place = await host();
  for (let delayMs = 0; delayMs < 40; delayMs += 4) {
    const [server, dead] = [await place.open(), await place.open()];
    await put(place, dead, "k");
    place.kill(dead);
    await place.world.until(() => server.host.events.includes("member.evicted"));
    await place.world.clock.advance(delayMs);

    await place.world.finish(server.member.close());

    expect(server.host.events).not.toContain("server.ended");
  }
  const last = await place.open();
  await place.world.clock.advance(1000);
  expect(await status(place, last)).toMatchObject({ quarantinedBlocks: 0n, quarantine: [] });
});
