import {
  BLOCK_BYTES,
  type BlockDevice,
  blockOffset,
  type FenceAgent,
  type FenceTarget,
} from "@holdfast/environment";
import { beforeEach, describe, expect, test } from "vitest";
import {
  livingVoters,
  quorumRegionOf,
  readSuper,
  renewVolume,
  SUPER_BLOCK,
  VOLUME_FORMAT_HASH,
} from "../../src/index.ts";
import { layoutFor } from "../../src/volume/layout.ts";
import { TestProcesses } from "../world/fencing-rig.ts";
import { MemberWorld, type TestMember, textOf } from "../world/member-world.ts";

const NEVER = new AbortController().signal;
const RENEWER = 99n;
const NOBODY: ReadonlySet<bigint> = new Set();

async function put({ member }: TestMember, world: MemberWorld, key: string, value: string): Promise<void> {
  const data = await member.dataset();
  await world.finish(data.put(key, value));
}

async function read({ member }: TestMember, world: MemberWorld, key: string): Promise<string | undefined> {
  const data = await member.dataset();
  return textOf(await world.finish(data.get(key)));
}

function renew(
  world: MemberWorld,
  fenced: ReadonlySet<bigint> = NOBODY,
  fenceAgent?: FenceAgent,
  device: BlockDevice = world.device,
): ReturnType<typeof renewVolume> {
  const agent = fenceAgent === undefined ? {} : { fenceAgent };
  return world.finish(
    renewVolume({ device, clock: world.clock, rid: RENEWER, fenced, signal: NEVER, ...agent }),
  );
}

describe("votes", () => {
  test("a server changes them, and voters know before they need them", async () => {
    const world = await MemberWorld.format();
    const [server, second, third] = [await world.open(), await world.open(), await world.open()];

    await world.finish(second.member.tune({ votes: 2, isForced: false }));
    expect((await world.finish(third.member.status())).votes).toBe(2);
    server.host.kill();
    second.host.kill();
    await world.clock.advance(5000);

    expect(third.member.report().isServing).toBe(false);
    const fourth = await world.open();
    await world.until(() => [third, fourth].some(({ member }) => member.report().isServing));
  });

  test("more than there are voters are refused, unless forced", async () => {
    const world = await MemberWorld.format();
    const [server] = [await world.open(), await world.open({ listenAddress: undefined })];

    await expect(world.finish(server.member.tune({ votes: 2, isForced: false }))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_TOO_FEW_VOTERS",
      facts: { votes: 2 },
    });
    expect((await world.finish(server.member.status())).votes).toBe(1);
    await world.finish(server.member.tune({ votes: 2, isForced: true }));
    expect((await world.finish(server.member.status())).votes).toBe(2);
    await expect(server.member.tune({ votes: 65, isForced: true })).rejects.toBeInstanceOf(RangeError);
  });

  test("where voters are too few to elect anybody, a member that campaigns with one vote changes them", async () => {
    const world = await MemberWorld.format({ votes: 3 });
    const waiting = world.begin();
    await world.clock.advance(3000);

    const tool = await world.open({ votes: 1 });
    await world.finish(tool.member.tune({ votes: 1, isForced: true }));
    await world.close(tool);

    const member = await world.finish(waiting.opening);
    await world.until(() => member.report().isServing);
    expect((await world.finish(member.status())).votes).toBe(1);
  });
});

describe("renewal of the terms", () => {
  let world: MemberWorld;

  beforeEach(async () => {
    world = await MemberWorld.format({ termsMax: 4 });
  });

  /** Uses every term up; what stands under "k" is what the last one wrote. */
  async function exhaust(): Promise<void> {
    for (const value of ["1", "2", "3"]) {
      const only = await world.open();
      await put(only, world, "k", value);
      await world.close(only);
    }
  }

  test("terms that are used up end elections with a clear error, and a renewal brings them back, ever rising", async () => {
    await exhaust();
    await expect(world.open()).rejects.toMatchObject({ code: "ERR_HOLDFAST_TERMS_EXHAUSTED" });

    const report = await renew(world);

    expect(report).toMatchObject({ generation: 1, firstTerm: 5n, lastTerm: 8n, wasResumed: false });
    const next = await world.open();
    expect(next.member.report().term).toBe(6n);
    expect(await read(next, world, "k")).toBe("3");
    expect(await world.finish(next.member.status())).toMatchObject({ termsMax: 4, termsUsed: 2 });
  });

  test("a voter that is alive is named, and nothing is written", async () => {
    const member = await world.open();
    const before = world.device.bytes.slice();

    await expect(renew(world)).rejects.toMatchObject({
      code: "ERR_HOLDFAST_RENEW_REFUSED",
      suspects: [{ rid: member.member.rid }],
    });

    const first = Number(blockOffset(SUPER_BLOCK));
    const last = first + BLOCK_BYTES;
    expect(world.device.bytes.subarray(first, last)).toEqual(before.subarray(first, last));
  });

  test("somebody who died without a word stands in the way until his end is confirmed", async () => {
    await useOneTerm();
    const zombie = await world.open();
    await put(zombie, world, "k", "acknowledged");
    zombie.host.kill();

    await expect(renew(world)).rejects.toMatchObject({
      code: "ERR_HOLDFAST_RENEW_REFUSED",
      suspects: [{ rid: zombie.member.rid, name: expect.stringContaining("host-") }],
    });
    await renew(world, new Set([zombie.member.rid]));

    const next = await world.open();
    expect(await read(next, world, "k")).toBe("acknowledged");
  });

  test("who is given as fenced and unknown to the volume is told of: mostly one that is in the way, mistyped", async () => {
    await useOneTerm();
    const zombie = await world.open();
    zombie.host.kill();
    await world.clock.advance(5000);

    await expect(renew(world, new Set([0x123n]))).rejects.toMatchObject({
      suspects: [{ rid: zombie.member.rid }],
      message: expect.stringMatching(/; unknown to the volume, but given as fenced: 0000000000000123$/),
    });
    const { strangers } = await renew(world, new Set([zombie.member.rid, 0x123n]));

    expect(strangers).toEqual([0x123n]);
  });

  test("a member of the very process that renews, which no hint shows, stands in the way like any other", async () => {
    const processes = new TestProcesses();
    const server = await world.open();
    const silent = await world.open({ listenAddress: undefined, processes });
    await world.close(server);
    const renewing = { device: world.device, clock: world.clock, rid: RENEWER, signal: NEVER, processes };

    await expect(world.finish(renewVolume({ ...renewing, fenced: NOBODY }))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_RENEW_REFUSED",
      suspects: [{ rid: silent.member.rid }],
    });
  });

  test("the fence agent's word confirms it too", async () => {
    const zombie = await world.open();
    zombie.host.kill();
    const asked: FenceTarget[] = [];
    const agent = (isConfirmed: boolean): FenceAgent => ({
      fence: (target) => {
        asked.push(target);
        return {
          answer: Promise.resolve({ rid: target.rid, isConfirmed, detail: "" }),
          cancel: () => {},
        };
      },
    });

    await expect(renew(world, NOBODY, agent(false))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_RENEW_REFUSED",
    });
    await renew(world, NOBODY, agent(true));

    expect(asked.map(({ rid }) => rid)).toEqual([zombie.member.rid, zombie.member.rid]);
  });

  test("a zombie's late writes find another generation of the slots: they win nothing and change nothing", async () => {
    const zombie = await world.open();
    await put(zombie, world, "k", "before");
    const { device } = zombie.host;
    const late: (() => Promise<void>)[] = [];
    Object.assign(device, {
      write: (...args: Parameters<BlockDevice["write"]>) => {
        late.push(() => world.device.write(...args));
        return new Promise<void>(() => {});
      },
    });
    const lost = (await zombie.member.dataset()).put("k", "never acknowledged");
    lost.catch(() => {});
    await world.clock.advance(300);
    zombie.host.kill();
    expect(late.length).toBeGreaterThan(0);

    await renew(world, new Set([zombie.member.rid]));
    const next = await world.open();
    await put(next, world, "other", "1");
    for (const land of late) await land();
    await put(next, world, "k", "after");

    const reader = await world.open();
    expect(await read(reader, world, "k")).toBe("after");
    expect(await read(reader, world, "other")).toBe("1");
  });

  test("interrupted at any write it leaves a volume that says so, and the next one ends it", async () => {
    await exhaust();
    const bytes = world.device.bytes.slice();
    const writes = await countWrites(() => renew(world));
    const found: string[] = [];
    for (let stopAt = 1; stopAt <= writes; stopAt += STRIDE) {
      world.device.bytes = bytes.slice();
      await expect(renew(world, NOBODY, undefined, failingAfter(stopAt))).rejects.toThrow("power");
      found.push(await opening());

      await renew(world, new Set([RENEWER]));

      const next = await world.open();
      expect(await read(next, world, "k")).toBe("3");
      next.host.kill();
    }
    expect(new Set(found)).toEqual(new Set(["opens", "ERR_HOLDFAST_RENEWAL_UNFINISHED"]));
  });

  test("a renewal that was interrupted must be confirmed dead itself before another one goes on", async () => {
    await expect(renew(world, NOBODY, undefined, failingAfter(40))).rejects.toThrow("power");

    await expect(renew(world)).rejects.toMatchObject({
      code: "ERR_HOLDFAST_RENEW_REFUSED",
      suspects: [{ rid: RENEWER }],
    });
    expect(await renew(world, new Set([RENEWER]))).toMatchObject({ wasResumed: true });
  });

  /** Whether the volume opens, or why not. */
  function opening(): Promise<string> {
    return readSuper(world.device, VOLUME_FORMAT_HASH).then(
      () => "opens",
      (error: { readonly code: string }) => error.code,
    );
  }

  async function useOneTerm(): Promise<void> {
    const only = await world.open();
    await put(only, world, "k", "1");
    await world.close(only);
  }

  async function countWrites(action: () => Promise<unknown>): Promise<number> {
    const before = world.device.writeCount;
    await action();
    return world.device.writeCount - before;
  }

  /** The device of a process whose writes stop behind the first `count - 1`. */
  function failingAfter(count: number): BlockDevice {
    const { device } = world;
    let made = 0;
    return {
      url: device.url,
      sizeBytes: device.sizeBytes,
      sectorBytes: device.sectorBytes,
      isLocal: device.isLocal,
      read: (offset, into) => device.read(offset, into),
      flush: () => device.flush(),
      close: () => device.close(),
      write: (offset, block, options) => {
        made += 1;
        return made >= count ? Promise.reject(new Error("power")) : device.write(offset, block, options);
      },
    };
  }
});

/** Interruptions that are tried: each one of so many. */
const STRIDE = 17;

test("living voters are those whose hints change", async () => {
  const world = await MemberWorld.format();
  const [server, dead] = [await world.open(), await world.open()];
  dead.host.kill();
  await world.clock.advance(50);
  const { superBlock } = await readSuper(world.device, VOLUME_FORMAT_HASH);
  const region = quorumRegionOf(
    superBlock,
    layoutFor(blockOffset(superBlock.blockCount), superBlock.termsMax),
  );

  const living = await world.finish(livingVoters(region, world));

  expect(living.map(({ rid, isServing }) => ({ rid, isServing }))).toEqual([
    { rid: server.member.rid, isServing: true },
  ]);
});
