import { NO_BROKEN_RULES } from "@holdfast/environment";
import { readSlot, readTermStatus } from "@holdfast/quorum";
import { expect, test } from "vitest";
import { type CommitCheckOptions, checkCommitted } from "../../src/client/commit-check.ts";
import { NewestSeen } from "../../src/client/newest-seen.ts";
import { VolumeState } from "../../src/volume/volume-state.ts";
import { ServerWorld, type TestServer } from "../world/server-world.ts";

const EVICTED = new Error("evicted");

/** What a member knows of its servers, and what it does when it has to ask. */
class Membership implements CheckLink {
  term = 0n;
  evictGeneration = 0n;
  failure: Error | undefined;
  readonly asked: string[] = [];
  onConfirm: () => Promise<void> = () => Promise.resolve();
  fail(error: Error): void {
    this.failure = error;
  }
  onTermAfter: (term: bigint) => Promise<void> = () => Promise.reject(new Error("nobody waits here"));

  confirm(): Promise<void> {
    this.asked.push("confirm");
    return this.onConfirm();
  }

  termAfter(term: bigint): Promise<void> {
    this.asked.push(`after ${term}`);
    return this.onTermAfter(term);
  }
}

type CheckLink = CommitCheckOptions["link"];

async function fixture(): Promise<{
  world: ServerWorld;
  server: TestServer;
  link: Membership;
  check: () => Promise<void>;
}> {
  const world = await ServerWorld.format();
  const server = await world.serve(1n);
  const link = new Membership();
  link.term = server.leadership.term;
  const { device, clock } = world;
  const newestSeen = new NewestSeen();
  const check = (): Promise<void> =>
    checkCommitted({
      brokenRules: NO_BROKEN_RULES,
      link,
      newestSeen,
      readTermStatus: (term) => readTermStatus(world.region, { device, clock }, term),
    });
  return { world, server, link, check };
}

function evictSomebody({ committer }: TestServer): Promise<void> {
  return committer.mutate(async (trees) => {
    trees.amend({ evictGeneration: trees.state.evictGeneration + 1n });
  });
}

/** Evictions that the record in a block tells of. */
function evictGenerationAt({ device, region }: ServerWorld, block: bigint): bigint | undefined {
  const slot = readSlot(region, block, device.block(block));
  return slot.state === "record" ? VolumeState.decode(slot.record.payload).evictGeneration : undefined;
}

test("in the term and the generation that the member knows, a look at the device is enough", async () => {
  const { link, check } = await fixture();

  await check();

  expect(link.asked).toEqual([]);
});

test("after evictions that the member does not know, the server's word is needed, and enough", async () => {
  const { server, link, check } = await fixture();
  await evictSomebody(server);

  await check();

  expect(link.asked).toEqual(["confirm"]);
});

test("a member that the server does not confirm acknowledges nothing", async () => {
  const { server, link, check } = await fixture();
  await evictSomebody(server);
  link.onConfirm = () => Promise.reject(EVICTED);

  await expect(check()).rejects.toBe(EVICTED);
});

test("a record that cannot be read is no reason to fail, and none to pass: the server is asked", async () => {
  const { world, link, check } = await fixture();
  const { recordsBlock, recordsCopyBlock } = world.layout.quorum;
  for (const first of [recordsBlock, recordsCopyBlock])
    for (const half of [0n, 1n]) world.device.damage(first + 2n * (link.term - 1n) + half);

  const checked = check();
  await world.clock.advance(1000);
  await checked;

  expect(link.asked).toEqual(["confirm"]);
});

test("where the newest record may be damaged, the one before it is not believed: the server is asked", async () => {
  const { world, server, link, check } = await fixture();
  await evictSomebody(server);
  const { recordsBlock, recordsCopyBlock } = world.layout.quorum;
  for (const first of [recordsBlock, recordsCopyBlock])
    for (const half of [0n, 1n]) {
      const block = first + 2n * (link.term - 1n) + half;
      if (evictGenerationAt(world, block) === 1n) world.device.damage(block);
    }
  link.onConfirm = () => Promise.reject(EVICTED);
  const outcome = check().catch((error: unknown) => error);

  await world.clock.advance(1000);

  expect(await outcome).toBe(EVICTED);
});

test("a superseded term is waited out: when the next server has counted the member in, it looks again", async () => {
  const { world, link, check } = await fixture();
  const next = await world.serve(2n);
  link.onTermAfter = async () => {
    link.term = next.leadership.term;
  };

  await check();

  expect(link.asked).toEqual(["after 2"]);
});

test("a member that the next server has evicted learns it there", async () => {
  const { world, link, check } = await fixture();
  await world.serve(2n);
  link.onTermAfter = () => Promise.reject(EVICTED);

  await expect(check()).rejects.toBe(EVICTED);
  expect(link.asked).toEqual(["after 2"]);
});

test("servers that follow each other quickly are waited for one after another", async () => {
  const { world, link, check } = await fixture();
  const second = await world.serve(2n);
  link.onTermAfter = async (term) => {
    if (term === 2n) {
      link.term = second.leadership.term;
      await evictSomebody(second);
      link.evictGeneration = 1n;
      await world.serve(3n);
    } else link.term = 4n;
  };

  await check();

  expect(link.asked).toEqual(["after 2", "after 3"]);
});

test("a term that cannot be ruled out to be over counts as over", async () => {
  const { world, link, check } = await fixture();
  const bad = world.layout.quorum.slotsBlock + 2n * link.term;
  world.device.onRead = (block, count) => {
    if (block <= bad + 1n && bad < block + BigInt(count)) throw new Error("bad sector");
  };
  link.onTermAfter = () => Promise.reject(EVICTED);
  const outcome = check().catch((error: unknown) => error);

  await world.clock.advance(1000);

  expect(await outcome).toBe(EVICTED);
  expect(link.asked).toEqual(["after 2"]);
});

test("a membership that ended before the look, or during it, ends the check", async () => {
  const { world, link, check } = await fixture();
  world.device.onRead = () => {
    link.failure = EVICTED;
  };
  await expect(check()).rejects.toBe(EVICTED);
  await expect(check()).rejects.toBe(EVICTED);

  expect(link.asked).toEqual([]);
});

test("scenario 23: a device that went back to an earlier state ends the membership, loudly", async () => {
  const { world, server, link, check } = await fixture();
  const before = world.device.bytes.slice();
  for (let commits = 0; commits < 3; commits += 1)
    await server.committer.mutate((trees) => Promise.resolve(trees.amend({})));
  await check();
  world.device.bytes.set(before);

  await expect(check()).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_ROLLED_BACK" });
  expect(link.failure).toMatchObject({ code: "ERR_HOLDFAST_DEVICE_ROLLED_BACK" });
});

test("scenario 23: so does one that went back to before the term of the present server", async () => {
  const { world, link, check } = await fixture();
  const before = world.device.bytes.slice();
  link.term = (await world.serve(2n)).leadership.term;
  await check();
  world.device.bytes.set(before);

  await expect(check()).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_ROLLED_BACK" });
});

test("a newest commit whose first copy is damaged since is no roll-back", async () => {
  const { world, server, link, check } = await fixture();
  await server.committer.mutate((trees) => Promise.resolve(trees.amend({})));
  await check();
  const { recordsBlock } = world.layout.quorum;
  world.device.bytes.fill(0x55, Number(recordsBlock) * 4096, Number(recordsBlock + 8n) * 4096);

  const checking = check();
  await world.clock.advance(1000);
  await checking;

  expect(link.failure).toBeUndefined();
});
