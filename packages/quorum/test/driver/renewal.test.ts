import { BLOCK_BYTES, type BlockDevice, blockOffset, DeviceError } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import {
  Check,
  type CommitRecord,
  Election,
  ElectionDeviceError,
  type ElectionOutcome,
  driveToOutcome,
  electionRegion,
  firstTerm,
  formatElection,
  lastTerm,
  newElectionHeader,
  nextGeneration,
  openElection,
  placeOf,
  type QuorumRegion,
  readNewestRecord,
  readSlot,
  recordBlock,
  renewElection,
  renewQuorum,
  sealMark,
  sealRecord,
  splitterBlock,
} from "../../src/index.ts";
import {
  type Crash,
  crashesAt,
  CrashDevice,
  fewCrashesAt,
  IMPATIENT_CLOCK,
  PowerFailure,
} from "./crash-device.ts";

const TERMS = 3;
const FSID = 0xfeedn;
const REGION = electionRegion(FSID, newElectionHeader(TERMS));
const BLOCKS = Number(REGION.recordsCopyBlock) + 2 * TERMS;
const STATE = new Uint8Array([3, 1, 4]);
const USED = { payload: STATE, region: REGION };

/** An election whose terms are used up, the newest record where a test wants it. */
async function usedUp(newest: { readonly term: bigint; readonly seq: bigint }): Promise<Uint8Array> {
  const disk = new CrashDevice(new Uint8Array(BLOCKS * BLOCK_BYTES));
  await formatElection({ device: disk.open(), random: { u64: () => FSID } });
  for (let term = 2n; term <= newest.term; term += 1n) {
    for (const address of [splitterBlock(REGION, term), splitterBlock(REGION, term) + 1n])
      put(disk, address, sealMark(REGION, { address, writer: 9n, mark: { claim: term, isVoid: false } }));
    for (let seq = 1n; seq <= newest.seq; seq += 1n) putRecord(disk, { term, seq });
  }
  return disk.bytes;
}

function putRecord(
  disk: CrashDevice,
  { term, seq }: { readonly term: bigint; readonly seq: bigint },
  { payload, region }: { readonly payload: Uint8Array; readonly region: QuorumRegion } = USED,
): void {
  const record: CommitRecord = { term, seq, writer: 9n, address: "a", payload };
  for (const copy of [0, 1] as const) {
    const block = recordBlock(region, term, copy) + (seq % 2n === 1n ? 0n : 1n);
    put(disk, block, sealRecord(record, { fsid: FSID, block }));
  }
}

function put(disk: CrashDevice, address: bigint, block: Uint8Array): void {
  disk.bytes.set(block, Number(blockOffset(address)));
}

/** What a process of the older generation writes to this block after the renewal. */
function putLate(disk: CrashDevice, address: bigint): void {
  const place = placeOf(REGION, address);
  const { term } = place;
  const late =
    place.kind === "record"
      ? sealRecord(
          { term, seq: 99n, writer: 9n, address: "late", payload: new Uint8Array([66]) },
          { fsid: FSID, block: address },
        )
      : sealMark(REGION, { address, writer: 9n, mark: { claim: 66n, isVoid: false } });
  put(disk, address, late);
}

function elect(disk: CrashDevice, region: QuorumRegion): Promise<ElectionOutcome> {
  const brokenRules = new Set<string>();
  const fromTerm = firstTerm(region);
  const election = new Election({
    region,
    rid: 8n,
    claim: 77n,
    fromTerm,
    yieldAbove: undefined,
    brokenRules,
  });
  const ports = { device: disk.open(), clock: IMPATIENT_CLOCK };
  return driveToOutcome<ElectionOutcome>(election, { first: election.handle({ type: "start" }) }, ports);
}

async function renew(disk: CrashDevice, ...crash: Parameters<CrashDevice["open"]>): Promise<void> {
  await renewElection({ device: disk.open(...crash), clock: IMPATIENT_CLOCK });
}

function newestOf(disk: CrashDevice, region: QuorumRegion): Promise<CommitRecord | undefined> {
  return readNewestRecord(region, { device: disk.open(), clock: IMPATIENT_CLOCK });
}

/** @throws Error when the power has not failed. */
async function failToRenew(disk: CrashDevice, crash: Crash): Promise<void> {
  try {
    await renew(disk, crash);
  } catch (error) {
    if (error instanceof PowerFailure) return;
    throw error;
  }
  throw new Error("the renewal came to its end");
}

/** What whoever opens the device meets: its region, or that a renewal is to be run again. */
async function meet(disk: CrashDevice): Promise<QuorumRegion | "interrupted"> {
  try {
    return await openElection(disk.open());
  } catch (error) {
    if (error instanceof ElectionDeviceError && error.code === "ERR_HOLDFAST_RENEWAL_INTERRUPTED")
      return "interrupted";
    throw error;
  }
}

describe("a renewal", () => {
  test("gives as many terms again, greater ones, and keeps the state", async () => {
    const disk = new CrashDevice(await usedUp({ term: 3n, seq: 2n }));
    expect(await elect(disk, REGION)).toMatchObject({
      type: "failed",
      error: { code: "ERR_HOLDFAST_TERMS_EXHAUSTED" },
    });

    await renew(disk);

    const region = await openElection(disk.open());
    expect(region).toEqual({ ...REGION, termBase: 3n, generation: 1 });
    expect(await elect(disk, region)).toMatchObject({
      type: "elected",
      term: 5n,
      adopted: { term: 4n, payload: STATE },
    });
  });

  test.each([
    ["the last term, first half", { term: 3n, seq: 1n }, STATE],
    ["a term in the middle", { term: 2n, seq: 3n }, STATE],
    ["the first term, as mkfs left it", { term: 1n, seq: 0n }, new Uint8Array(0)],
  ])(
    "whose power fails at any write loses nothing, the newest record being in %s",
    async (_place, newest, payload) => {
      const before = await usedUp(newest);
      const whole = new CrashDevice(before.slice());
      await renew(whole);
      const { written } = whole;
      const next = nextGeneration(REGION);
      const essential = new Set([0n, 1n, recordBlock(next, 4n, 0) + 1n, recordBlock(next, 4n, 1) + 1n]);
      const met = new Set<string>();

      for (const [atWrite, block] of written.entries()) {
        for (const crash of essential.has(block) ? crashesAt(atWrite) : fewCrashesAt(atWrite)) {
          const disk = new CrashDevice(before.slice());
          await failToRenew(disk, crash);
          const found = await meet(disk);
          met.add(found === "interrupted" ? found : `generation ${found.generation}`);
          const asBefore = found === "interrupted" ? { payload } : await newestOf(disk, found);
          expect(asBefore).toMatchObject({ payload });
          if (found === "interrupted" || found.generation === 0) await renew(disk);
          const region = await openElection(disk.open());
          expect(region.generation).toBe(1);
          expect(await elect(disk, region)).toMatchObject({
            type: "elected",
            term: 5n,
            adopted: { payload },
          });
        }
      }

      expect([...met].sort()).toEqual(["generation 0", "generation 1", "interrupted"]);
    },
    20_000,
  );

  test("whose power fails again while it is run again loses nothing either", async () => {
    const before = await usedUp({ term: 1n, seq: 0n });
    const twice = new CrashDevice(before.slice());
    await renew(twice);
    await renew(twice);
    const generations = twice.bytes.slice();
    // The second renewal's state stands in the first term again: the hardest place, and mkfs's payload is empty.
    const whole = new CrashDevice(generations.slice());
    await renew(whole);
    const writes = whole.written.length;

    for (let first = 2; first < writes; first += 2) {
      for (let second = 2; second < writes; second += 3) {
        const disk = new CrashDevice(generations.slice());
        const crash = {
          sectors: (first + second) % 9,
          fromEnd: second % 2 === 0,
          losesUnflushed: first % 2 === 0,
        };
        await failToRenew(disk, { ...crash, atWrite: first });
        if ((await meet(disk)) === "interrupted") await failToRenew(disk, { ...crash, atWrite: second });
        if ((await meet(disk)) === "interrupted") await renew(disk);
        const region = await openElection(disk.open());
        expect(await elect(disk, region)).toMatchObject({ type: "elected", adopted: { term: 10n } });
      }
    }
  }, 20_000);

  test("that is run again although its terms are in use brings back no older state: the header that knew it was done is lost", async () => {
    const before = await usedUp({ term: 3n, seq: 1n });
    const whole = new CrashDevice(before.slice());
    await renew(whole);
    const disk = new CrashDevice(before);
    const atWrite = whole.written.length - 1;
    await failToRenew(disk, { atWrite, sectors: 0, fromEnd: false, losesUnflushed: false });
    const region = await openElection(disk.open());
    expect(await elect(disk, region)).toMatchObject({ type: "elected", term: 5n });
    putRecord(disk, { term: 5n, seq: 1n }, { region, payload: new Uint8Array([2, 7]) });
    disk.bytes.fill(0xff, 0, BLOCK_BYTES);
    expect(await meet(disk)).toBe("interrupted");

    await renew(disk);

    expect(await openElection(disk.open())).toEqual(region);
    expect(await elect(disk, region)).toMatchObject({
      type: "elected",
      term: 6n,
      adopted: { term: 5n, payload: new Uint8Array([2, 7]) },
    });
  });

  test("is refused, and writes nothing, when the newest record is damaged", async () => {
    const bytes = await usedUp({ term: 3n, seq: 1n });
    for (const copy of [0, 1] as const) bytes[Number(blockOffset(recordBlock(REGION, 3n, copy))) + 99] = 0xff;
    const disk = new CrashDevice(bytes.slice());

    await expect(renew(disk)).rejects.toMatchObject({
      code: "ERR_HOLDFAST_RECORD_CORRUPT",
      facts: { term: 3n },
    });

    expect(disk.bytes).toEqual(bytes);
  });
});

describe("a device that refuses to read records", () => {
  const next = nextGeneration(REGION);
  const half = (copy: 0 | 1, index: number): bigint => recordBlock(next, 5n, copy) + BigInt(index);
  const halves = [0, 1, 2, 3];

  /** Renewed, and in use: a record stands in that half behind the first term; the header says it is to be renewed again. */
  async function inUse(index: number): Promise<CrashDevice> {
    const disk = new CrashDevice(await usedUp({ term: 3n, seq: 1n }));
    const header = disk.bytes.slice(0, 2 * BLOCK_BYTES);
    await renew(disk);
    const payload = new Uint8Array([2, 7]);
    putRecord(
      disk,
      { term: 5n + BigInt(index >> 1), seq: BigInt(1 + (index & 1)) },
      { region: next, payload },
    );
    disk.bytes.set(header);
    return disk;
  }

  test.each(halves)(
    "hides from no renewal that its terms are in use: it ends with an error and writes nothing, half %i",
    async (index) => {
      const disk = await inUse(index);
      const device = refusing(disk.open(), [half(0, index), half(1, index)]);

      await expect(renewQuorum(REGION, { device, clock: IMPATIENT_CLOCK })).rejects.toMatchObject({
        code: "ERR_HOLDFAST_DEVICE_READ",
        facts: { offsetBytes: blockOffset(half(0, index)) },
        message: expect.stringContaining("copy the device to a sound one"),
      });

      expect(disk.written).toEqual([]);
    },
  );

  test.each(halves)(
    "in one copy does not matter where the other says that they are, half %i",
    async (index) => {
      for (const copy of [0, 1] as const) {
        const disk = await inUse(index);
        const device = refusing(disk.open(), [half(copy, index)]);

        const record = await renewQuorum(REGION, { device, clock: IMPATIENT_CLOCK });

        expect(record.payload).toEqual(new Uint8Array([2, 7]));
        expect(disk.written).toEqual([]);
      }
    },
  );

  test.each(halves)(
    "in one copy does not matter where the other says that they are not, half %i",
    async (index) => {
      for (const copy of [0, 1] as const) {
        const disk = new CrashDevice(await usedUp({ term: 3n, seq: 2n }));
        const device = refusing(disk.open(), [half(copy, index)]);

        const record = await renewQuorum(REGION, { device, clock: IMPATIENT_CLOCK });

        expect(record).toMatchObject({ term: 4n, payload: STATE });
      }
    },
  );
});

/** A device of which some blocks cannot be read. */
function refusing(device: BlockDevice, blocks: readonly bigint[]): BlockDevice {
  return {
    ...device,
    read: (offset, into) => {
      const isHit = blocks.some(
        (block) => blockOffset(block + 1n) > offset && blockOffset(block) < offset + BigInt(into.length),
      );
      if (!isHit) return device.read(offset, into);
      const facts = { device: device.url, offsetBytes: offset, lengthBytes: into.length };
      return Promise.reject(new DeviceError("ERR_HOLDFAST_DEVICE_READ", "a bad sector", facts));
    },
  };
}

describe("two generations of one area", () => {
  const next = nextGeneration(REGION);

  test("have no term in common", () => {
    expect(firstTerm(next)).toBe(lastTerm(REGION) + 1n);
    expect(nextGeneration(next)).toMatchObject({ termBase: 6n, generation: 2 });
  });

  test("take none of each other's blocks for anything: no mark, no record, not pristine", async () => {
    const old = new CrashDevice(await usedUp({ term: 3n, seq: 2n }));
    const renewed = new CrashDevice(old.bytes.slice());
    await renew(renewed);

    for (let block = REGION.slotsBlock; block < BigInt(BLOCKS); block += 1n) {
      expect(placeOf(next, block).term).toBe(placeOf(REGION, block).term + 3n);
      expect(readSlot(next, block, at(old, block)).state).toBe("unreadable");
      expect(readSlot(REGION, block, at(renewed, block)).state).toBe("unreadable");
      expect(readSlot(next, block, at(renewed, block)).state).not.toBe("unreadable");
    }
  });

  test("do not mix: a mark or record of the older one that lands late is damage in the newer one, never a state", async () => {
    for (let target = REGION.slotsBlock; target < BigInt(BLOCKS); target += 1n) {
      const disk = new CrashDevice(await usedUp({ term: 2n, seq: 2n }));
      await renew(disk);
      const served = await openElection(disk.open());
      expect(await elect(disk, served)).toMatchObject({ type: "elected", term: 5n, adopted: { term: 4n } });

      putLate(disk, target);

      const outcome = await elect(disk, served);
      expect(outcome).toMatchObject(
        placeOf(served, target).term > 5n
          ? { type: "failed", error: { code: "ERR_HOLDFAST_TERMS_EXHAUSTED" } }
          : { type: "elected", term: 6n, adopted: { term: 4n, payload: STATE } },
      );
    }
  });

  test("do not mix: a server of the older one that lives on is deposed by its next check", async () => {
    const disk = new CrashDevice(await usedUp({ term: 2n, seq: 1n }));
    await renew(disk);
    const check = new Check({ region: REGION, term: 2n, brokenRules: new Set() }, () => 1);

    let [effect] = check.handle({ type: "start" });
    while (effect?.type === "read-blocks") {
      const blocks = effect.ranges.flatMap(({ address, count }) =>
        Array.from({ length: count }, (_, index) => at(disk, address + BigInt(index))),
      );
      [effect] = check.handle({ type: "blocks-read", id: effect.id, blocks });
    }

    expect(effect).toEqual({ type: "deposed", by: 3n });
  });
});

function at(disk: CrashDevice, block: bigint): Uint8Array {
  const start = Number(blockOffset(block));
  return disk.bytes.subarray(start, start + BLOCK_BYTES);
}
