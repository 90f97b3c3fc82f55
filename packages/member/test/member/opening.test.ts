import { TransportError } from "@holdfast/environment";
import { expect, test } from "vitest";
import { DEFAULT_MEMBER_TIMING, NoSpaceError, SUPER_BLOCK, VolumeError } from "../../src/index.ts";
import { MemberWorld } from "../world/member-world.ts";

test("an address that somebody listens at is noticed when the volume is opened", async () => {
  const world = await MemberWorld.format();
  const first = await world.open({ listenAddress: "memory:taken" });
  const timers = world.clock.timersCount;

  const error = await world
    .begin({ listenAddress: "memory:taken" })
    .opening.catch((reason: unknown) => reason);

  expect(error).toBeInstanceOf(TransportError);
  expect(error).toMatchObject({
    code: "ERR_HOLDFAST_ADDRESS_IN_USE",
    facts: { address: "memory:taken" },
  });
  expect(world.clock.timersCount).toBe(timers);
  await world.close(first);
});

test("a voter holds its address while it does not serve, and whoever comes is shown the door", async () => {
  const world = await MemberWorld.format();
  const first = await world.open();
  const second = await world.open({ listenAddress: "memory:second" });
  let isClosed = false;
  const stream = await world.network.dial("memory:second");
  stream.start({
    data: () => {},
    closed: () => {
      isClosed = true;
    },
    drained: () => {},
  });

  await world.clock.advance(50);

  expect(isClosed).toBe(true);
  await world.close(first, second);
  await expect(world.network.dial("memory:second")).rejects.toMatchObject({ code: "ERR_HOLDFAST_DIAL" });
});

test("an opening that is given up rejects and leaves nothing behind", async () => {
  const world = await MemberWorld.format();
  const abort = new AbortController();
  const { opening } = world.begin({ listenAddress: undefined, signal: abort.signal });
  await world.clock.advance(3000);

  abort.abort("enough");

  await expect(world.finish(opening)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_CANCELLED",
    cause: "enough",
  });
  await world.clock.advance(1000);
  expect(world.clock.timersCount).toBe(0);
});

test("an opening that was given up before it began does not join", async () => {
  const world = await MemberWorld.format();
  const abort = new AbortController();
  abort.abort();

  await expect(world.finish(world.begin({ signal: abort.signal }).opening)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_CANCELLED",
  });

  await world.clock.advance(2000);
  expect(world.clock.timersCount).toBe(0);
});

test("a volume without room for a journal refuses the member, and the error says so", async () => {
  const world = await MemberWorld.format({ sizeBytes: 16 * 1024 * 1024 });
  const first = await world.open();
  let membersCount = 1;
  let refusal: unknown;
  while (refusal === undefined) {
    try {
      await world.open();
      membersCount += 1;
    } catch (error) {
      refusal = error;
    }
  }

  expect(refusal).toBeInstanceOf(NoSpaceError);
  expect(membersCount).toBeGreaterThan(1);
  const { members } = await world.finish(first.member.status());
  expect(members.length).toBe(membersCount);
  await expect(world.open()).rejects.toBeInstanceOf(NoSpaceError);
});

test.each([
  ["a name that is too long", { name: "ö".repeat(65) }],
  ["an address that is too long", { listenAddress: `memory:${"a".repeat(255)}` }],
  ["times that do not fit each other", { timing: { ...DEFAULT_MEMBER_TIMING, leaseMs: 1000 } }],
  ["a server's lease longer than others'", { timing: { ...DEFAULT_MEMBER_TIMING, ownLeaseMs: 601 } }],
  ["a server's lease of no time", { timing: { ...DEFAULT_MEMBER_TIMING, ownLeaseMs: 0 } }],
])("%s is refused before anybody is asked, and nothing is listened at", async (_, options) => {
  const world = await MemberWorld.format();

  await expect(world.begin(options).opening).rejects.toBeInstanceOf(RangeError);

  expect(world.clock.timersCount).toBe(0);
  await expect(world.network.dial(`memory:${"a".repeat(255)}`)).rejects.toThrow("nobody listens");
});

test("what is no volume, or another one, is refused before anything else happens", async () => {
  const world = await MemberWorld.format();
  await expect(world.begin({ expectedFsid: 1n }).opening).rejects.toMatchObject({
    code: "ERR_HOLDFAST_VOLUME_FSID",
  });

  world.device.bytes.fill(0);

  await expect(world.begin().opening).rejects.toBeInstanceOf(VolumeError);
  expect(world.clock.timersCount).toBe(0);
});

test("a damaged super block is logged, and the volume opens by the other one", async () => {
  const world = await MemberWorld.format();
  world.device.damage(SUPER_BLOCK);

  const { host } = await world.open();

  expect(host.lines).toContainEqual({ level: "warn", facts: { event: "super.damaged", block: SUPER_BLOCK } });
});
