/*
 * Scenario 28 (docs/protocols/scenarios.md): the event loop of the server is blocked for longer than every time limit, at each of its
 * writes in turn. Its writes that were under way land while it is blocked, or long after its successor went on; its sockets stay
 * open. Then it goes on in the middle of what it was doing.
 */
import { BLOCK_BYTES, type WriteOptions } from "@holdfast/environment";
import { expect, test } from "vitest";
import { DEFAULT_MEMBER_TIMING, EvictedError, HINTS_BLOCK, HINTS_COUNT } from "../../src/index.ts";
import { EventLoop } from "../world/event-loop.ts";
import { MemberWorld, type TestMember, textOf } from "../world/member-world.ts";

const FATES = ["lands", "late"] as const;

type Fate = (typeof FATES)[number];

/** The scenario's own length: more than any member waits for another. */
const BLOCKED_MS = 15_000;

/** What became of one call. */
interface Call {
  readonly name: string;
  outcome: "pending" | "acknowledged" | Error;
}

/** One run: the first of three members serves; its loop may be blocked at one of its writes. */
class Run {
  readonly world: MemberWorld;
  readonly loop: EventLoop;
  readonly server: TestMember;
  readonly others: readonly [TestMember, TestMember];
  /** Writes of the server so far, hints left out. */
  writes = 0;
  /** Blocks that others wrote while the server's loop was blocked. */
  readonly successors: Set<bigint> = new Set();
  /** Of these, those that the blocked server wrote to all the same. */
  readonly overwritten: bigint[] = [];
  readonly #late: (() => void)[] = [];
  #blockAt: { readonly write: number; readonly fate: Fate } | undefined;

  private constructor(
    world: MemberWorld,
    loop: EventLoop,
    [server, ...others]: readonly [TestMember, TestMember, TestMember],
  ) {
    this.world = world;
    this.loop = loop;
    this.server = server;
    this.others = others;
    this.#watch(server, (write, blocks) => this.#ofServer(write, blocks));
    for (const other of others)
      this.#watch(other, (write, blocks) => {
        if (loop.isBlocked) for (const block of blocks) this.successors.add(block);
        return write();
      });
  }

  static async start(): Promise<Run> {
    const world = await MemberWorld.format();
    const loop = new EventLoop();
    const members = [await world.open({ loop }), await world.open(), await world.open()] as const;
    const run = new Run(world, loop, members);
    for (const [index, member] of members.entries())
      await run.put(member, `${"abc"[index] ?? ""}-key`, "before");
    return run;
  }

  /** From here on the server's writes count; at number `write` its loop is blocked. */
  arm(blockAt: { readonly write: number; readonly fate: Fate } | undefined): void {
    this.writes = 0;
    this.#blockAt = blockAt;
  }

  async put({ member }: TestMember, key: string, value: string): Promise<void> {
    const data = await member.dataset();
    await this.world.finish(data.put(key, value));
  }

  async get({ member }: TestMember, key: string): Promise<string | undefined> {
    const data = await member.dataset();
    return textOf(await this.world.finish(data.get(key)));
  }

  /** What the kernel still had of the server's writes reaches the device. */
  landLate(): number {
    const late = this.#late.splice(0);
    for (const land of late) land();
    return late.length;
  }

  #ofServer(write: () => Promise<void>, blocks: readonly bigint[]): Promise<void> {
    this.writes += 1;
    if (this.writes === this.#blockAt?.write) this.loop.block();
    const land = (): Promise<void> => {
      this.overwritten.push(...blocks.filter((block) => this.successors.has(block)));
      return write();
    };
    if (!this.loop.isBlocked || this.#blockAt?.fate === "lands") return land();
    return new Promise((resolve, reject) => {
      this.#late.push(() => void land().then(resolve, reject));
    });
  }

  /** Hints are everybody's, and nothing rests on them. */
  #watch(
    { host: { device } }: TestMember,
    watch: (write: () => Promise<void>, blocks: readonly bigint[]) => Promise<void>,
  ): void {
    const write = device.write.bind(device);
    Object.assign(device, {
      write: (offsetBytes: bigint, bytes: Uint8Array, options: WriteOptions) => {
        const first = offsetBytes / BigInt(BLOCK_BYTES);
        if (first >= HINTS_BLOCK && first < HINTS_BLOCK + BigInt(HINTS_COUNT))
          return write(offsetBytes, bytes, options);
        const kept = bytes.slice();
        const blocks = Array.from(
          { length: bytes.length / BLOCK_BYTES },
          (_, index) => first + BigInt(index),
        );
        return watch(() => write(offsetBytes, kept, options), blocks);
      },
    });
  }
}

/** Keeps what becomes of a call. */
function follow(name: string, promise: Promise<unknown>): Call {
  const call: Call = { name, outcome: "pending" };
  promise.then(
    () => {
      call.outcome = "acknowledged";
    },
    (error: unknown) => {
      call.outcome = error instanceof Error ? error : new Error(String(error));
    },
  );
  return call;
}

/** Everybody writes, and the server has to record what two of them ask for: it makes writes of every kind. */
async function work({
  server,
  others: [second, third],
}: Run): Promise<{ readonly own: readonly Call[]; readonly theirs: readonly Call[] }> {
  const [a, b, c] = [
    await server.member.dataset(),
    await second.member.dataset(),
    await third.member.dataset(),
  ];
  return {
    own: [
      follow("own put", a.put("a-late", "of the server")),
      // Its session with itself never breaks: nothing but the check of the record keeps it from this answer.
      follow("own operation", server.member.tune({ votes: 2, isForced: false })),
    ],
    theirs: [
      follow("dataset", second.member.createDataset("made")),
      follow("put", b.put("b-late", "of the second")),
      follow("put of what the server holds", c.put("a-key", "of the third")),
    ],
  };
}

async function done({ world }: Run, calls: readonly Call[]): Promise<void> {
  await world.until(() => calls.every(({ outcome }) => outcome !== "pending"));
}

/** The whole scenario. */
async function block(run: Run, at: { readonly write: number; readonly fate: Fate }): Promise<void> {
  const { world, loop, server, others } = run;
  run.arm(at);
  const { own, theirs } = await work(run);
  await world.until(() => loop.isBlocked);
  const pending = own.filter(({ outcome }) => outcome === "pending");
  const linesBefore = server.host.lines.length;

  await world.clock.advance(BLOCKED_MS);

  // The fault has happened: nothing of it has run, others serve and have evicted it.
  expect(server.host.lines).toHaveLength(linesBefore);
  expect(loop.waitingCount).toBeGreaterThan(0);
  expect(server.member.report().isServing).toBe(true);
  await done(run, theirs);
  expect(theirs.map(({ outcome }) => outcome)).toEqual(theirs.map(() => "acknowledged"));
  const successor = others.find(({ member }) => member.report().isServing);
  expect(successor?.host.events).toContain("member.evicted");
  expect(run.successors.size).toBeGreaterThan(0);
  expect(run.landLate()).toBe(at.fate === "late" ? 1 : 0);
  await run.put(others[0], "b-key", "after");

  const data = await server.member.dataset();
  const attempts = [
    follow("put on waking", data.put("a-key", "stale")),
    follow("get on waking", data.get("a-key")),
  ];
  await loop.unblock();
  await done(run, [...pending, ...attempts]);
  await world.clock.advance(BLOCKED_MS);

  // It has noticed, says so, and has done nothing more.
  for (const { outcome } of [...pending, ...attempts]) expect(outcome).toBeInstanceOf(EvictedError);
  expect(server.losses).toMatchObject([{ code: "ERR_HOLDFAST_EVICTED" }]);
  expect(server.member.report().isServing).toBe(false);
  const ended = server.host.lines.find(({ facts }) => facts.event === "server.ended");
  expect(ended).toMatchObject({ level: "warn", facts: { err: { code: "ERR_HOLDFAST_DEPOSED" } } });
  expect(run.overwritten).toEqual([]);
  await expectSound(
    run,
    own.filter((call) => !pending.includes(call)).map(({ name }) => name),
  );
}

/** What was acknowledged is there, before, meanwhile and after, for those who stayed and for one who comes. */
async function expectSound(run: Run, acknowledged: readonly string[]): Promise<void> {
  const { world, others } = run;
  const fresh = await world.open();
  for (const reader of [...others, fresh]) {
    expect(await run.get(reader, "a-key")).toBe("of the third");
    expect(await run.get(reader, "b-key")).toBe("after");
    expect(await run.get(reader, "c-key")).toBe("before");
    expect(await run.get(reader, "b-late")).toBe("of the second");
    if (acknowledged.includes("own put")) expect(await run.get(reader, "a-late")).toBe("of the server");
    await world.finish(reader.member.dataset("made"));
  }
  await run.put(fresh, "fresh", "1");
  if (acknowledged.includes("own operation"))
    expect(await world.finish(fresh.member.status())).toMatchObject({ votes: 2 });
  expect(others.flatMap(({ losses }) => losses)).toEqual([]);
}

test(
  "scenario 28: a server whose event loop is blocked at any of its writes is replaced; when it goes on it answers nobody, overwrites nothing, and says why",
  { timeout: 600_000 },
  async () => {
    const whole = await Run.start();
    whole.arm(undefined);
    const { own, theirs } = await work(whole);
    await done(whole, [...own, ...theirs]);
    const { writes } = whole;

    // At least the server's journal, a node, both copies of a record.
    expect(writes).toBeGreaterThan(3);
    expect(DEFAULT_MEMBER_TIMING.memberTimeoutMs).toBeLessThan(BLOCKED_MS);
    for (let write = 1; write <= writes; write += 1)
      for (const fate of FATES) await block(await Run.start(), { write, fate });
  },
);
