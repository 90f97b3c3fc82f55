/*
 * Crash at each device write: of a take-over, of a server that leaves, of a member that leaves.
 *
 * The process that makes the k-th write of the scenario dies with it: the write is lost, torn, or lands. Then whoever is
 * left must serve, and everything that was acknowledged must be there. By default one write of so many is tried, with a fate
 * that goes round (13 crashes); HOLDFAST_ALL_CRASHES=1 tries each write with each fate (171).
 */
import type { WriteOptions } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { HINTS_BLOCK, HINTS_COUNT } from "../../src/index.ts";
import { MemberWorld, type TestMember, textOf } from "../world/member-world.ts";

const FATES = ["lost", "torn", "lands"] as const;

type Fate = (typeof FATES)[number];

/** A prime, so that each fate meets each kind of write sooner or later. */
const STRIDE = 5;

const areAllTried = process.env["HOLDFAST_ALL_CRASHES"] === "1";

/** One run: three members, each with an acknowledged item, and a crash at one write, if any. */
class Run {
  readonly world: MemberWorld;
  readonly members: readonly TestMember[];
  /** Writes of the scenario so far, hints left out. */
  writes = 0;
  #crashAt: { readonly write: number; readonly fate: Fate } | undefined;

  private constructor(world: MemberWorld, members: readonly TestMember[]) {
    this.world = world;
    this.members = members;
  }

  static async start(): Promise<Run> {
    const world = await MemberWorld.format();
    const members = [await world.open(), await world.open(), await world.open()];
    const run = new Run(world, members);
    for (const [index, { member }] of members.entries()) {
      const data = await member.dataset();
      await world.finish(data.put(`${"abc"[index] ?? ""}-key`, `of ${index}`));
    }
    return run;
  }

  /** From here on writes count; the process that makes number `write` dies with it. */
  arm(crashAt: { readonly write: number; readonly fate: Fate } | undefined): void {
    this.#crashAt = crashAt;
    for (const { host } of this.members) {
      const { device } = host;
      const write = device.write.bind(device);
      Object.assign(device, {
        write: (offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions) => {
          if (host.isDead || isHint(offsetBytes)) return write(offsetBytes, bytes, options);
          this.writes += 1;
          if (this.writes !== this.#crashAt?.write) return write(offsetBytes, bytes, options);
          this.#land(offsetBytes, bytes, this.#crashAt.fate);
          host.kill();
          return new Promise<void>(() => {});
        },
      });
    }
  }

  /** What was acknowledged is there, for who is left and for who comes; and both go on. */
  async expectSound(): Promise<void> {
    const { world } = this;
    const fresh = await world.open();
    const living = this.members.filter(({ host, losses }) => !host.isDead && losses.length === 0);
    const readers = [fresh, ...living.filter(({ host }) => !host.events.includes("test.closing"))];
    for (const [index] of this.members.entries()) {
      const key = `${"abc"[index] ?? ""}-key`;
      for (const { member } of readers) {
        const data = await member.dataset();
        expect(textOf(await world.finish(data.get(key)))).toBe(`of ${index}`);
      }
    }
    const data = await fresh.member.dataset();
    await world.finish(data.put("after", "1"));
    expect(living.flatMap(({ losses }) => losses)).toEqual([]);
  }

  #land(offsetBytes: bigint, bytes: Uint8Array, fate: Fate): void {
    const { device } = this.world;
    const length = fate === "lands" ? bytes.length : fate === "torn" ? bytes.length / 2 : 0;
    device.bytes.set(bytes.subarray(0, length), Number(offsetBytes));
  }
}

function isHint(offsetBytes: bigint): boolean {
  const block = offsetBytes / 4096n;
  return block >= HINTS_BLOCK && block < HINTS_BLOCK + BigInt(HINTS_COUNT);
}

/** Leaves; whoever leaves is not asked afterwards. */
async function close(run: Run, leaver: TestMember): Promise<void> {
  leaver.host.log.info({ event: "test.closing" }, "");
  const closing = leaver.member.close();
  closing.catch(() => {});
  let isClosed = false;
  const closed = (): void => {
    isClosed = true;
  };
  closing.then(closed, closed);
  await run.world.until(() => isClosed || leaver.host.isDead);
}

const SCENARIOS = [
  {
    name: "a take-over",
    run: async (run: Run): Promise<void> => {
      run.members[0]?.host.kill();
      const others = run.members.slice(1);
      const isDone = (): boolean => others.some(({ host }) => host.events.includes("member.evicted"));
      await run.world.until(() => isDone() || others.some(({ host }) => host.isDead));
    },
  },
  {
    name: "a server that leaves",
    run: async (run: Run): Promise<void> => {
      const [server] = run.members;
      if (server !== undefined) await close(run, server);
    },
  },
  {
    name: "a member that leaves",
    run: async (run: Run): Promise<void> => {
      const [, member] = run.members;
      if (member !== undefined) await close(run, member);
    },
  },
] as const;

describe.each(SCENARIOS)("$name", ({ run: scenario }) => {
  test("may crash at any of its writes", { timeout: 600_000 }, async () => {
    const whole = await Run.start();
    whole.arm(undefined);
    await scenario(whole);
    const { writes } = whole;
    await whole.expectSound();

    let tried = 0;
    for (let write = 1; write <= writes; write += areAllTried ? 1 : STRIDE)
      for (const fate of areAllTried ? FATES : [FATES[Math.floor(write / STRIDE) % FATES.length] ?? "lost"]) {
        const run = await Run.start();
        run.arm({ write, fate });
        await scenario(run);
        await run.expectSound();
        tried += 1;
      }
    expect(tried).toBeGreaterThan(2);
  });
});
