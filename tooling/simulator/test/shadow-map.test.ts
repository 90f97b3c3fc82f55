import { EMPTY_STATE, formatVolume, layoutFor, VolumeState } from "@holdfast/member";
import { readSlot, recordBlock, type CommitRecord } from "@holdfast/quorum";
import { BlockType, sealBlock } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  ageVolume,
  audit,
  Counters,
  RandomStream,
  ShadowMap,
  VolumeReader,
  type LandingWrite,
  type VolumeImage,
} from "../src/index.ts";
import { simulate, type Simulated } from "./simulated.ts";

const SIZE_BYTES = 1024n * 1024n * 1024n;
const TERMS_MAX = 8;
const LAYOUT = layoutFor(SIZE_BYTES, TERMS_MAX);
const MKFS = { start: LAYOUT.dataBlock, lengthBlocks: 1 };
const SERVER = 77n;

interface Volume {
  readonly simulated: Simulated;
  readonly fsid: bigint;
  readonly record: CommitRecord;
}

/** A fresh volume and its first record. */
async function makeVolume(seed: bigint, isAged: boolean): Promise<Volume> {
  const simulated = simulate(seed, SIZE_BYTES);
  const { device, random } = simulated.start("format").ports;
  const options = { label: "test", votes: 1, termsMax: TERMS_MAX };
  const { fsid } = await simulated.settle(formatVolume(device, options, random));
  const aged = { device, fsid, layout: LAYOUT, random: new RandomStream(seed, "aged") };
  if (isAged) await simulated.settle(ageVolume(aged));
  const region = { fsid, ...LAYOUT.quorum };
  const address = recordBlock(region, 1n, 0);
  const block = new Uint8Array(4096);
  simulated.disk.medium.read(Number(address) * 4096, block);
  const slot = readSlot(region, address, block);
  if (slot.state !== "record") throw new Error("mkfs writes a record");
  return { simulated, fsid, record: slot.record };
}

function auditOf({ simulated, fsid, record }: Volume, mkfs = MKFS): readonly string[] {
  const reader = new VolumeReader({ medium: simulated.disk.medium, fsid });
  const image = reader.imageOf(record.payload);
  return audit({ image, free: reader.freeOf(image.state), layout: LAYOUT, mkfs });
}

/** A shadow map that knows one record, in which the server of term 2 was granted one spare. */
async function makeMap(): Promise<{ map: ShadowMap; fsid: bigint; granted: bigint }> {
  const { simulated, fsid, record } = await makeVolume(1n, false);
  const state = VolumeState.decode(record.payload);
  const [taken, ...spares] = state.spares;
  if (taken === undefined) throw new Error("mkfs sets spares aside");
  const map = new ShadowMap({
    medium: simulated.disk.medium,
    region: { fsid, ...LAYOUT.quorum },
    layout: LAYOUT,
    counters: new Counters(),
  });
  const payload = VolumeState.encode({ ...state, metadataGrants: [taken], spares });
  map.committed({ term: 2n, seq: 1n, writer: SERVER, address: "", payload });
  return { map, fsid, granted: taken.start };
}

function landing(block: bigint, bytes: Uint8Array): LandingWrite {
  const common = { processId: "member-1#1", rid: SERVER, timeMs: 0 };
  return { firstBlock: block, blockCount: 1, offsetBytes: block * 4096n, bytes, ...common };
}

function node(fsid: bigint, address: bigint, term = 2n): Uint8Array {
  return sealBlock(
    { fsid, address, term, writer: SERVER, seq: 1n, type: BlockType.treeNode },
    new Uint8Array(8),
  );
}

test("a tree node lands in what its term's committed records grant, and nowhere else", async () => {
  const { map, fsid, granted } = await makeMap();

  expect(map.judge(landing(granted, node(fsid, granted)))).toBeUndefined();
  expect(map.judge(landing(granted - 1n, node(fsid, granted - 1n)))).toMatch(/tree node|outside/);
  expect(map.judge(landing(granted, node(fsid, granted, 3n)))).toMatch(/committed nothing/);
});

test("nothing lands on a node that the committed record reaches", async () => {
  const { map, fsid } = await makeMap();

  expect(map.judge(landing(LAYOUT.dataBlock, node(fsid, LAYOUT.dataBlock)))).toMatch(/is a tree node/);
});

test("a member that was granted nothing writes no segment and no piece of one", async () => {
  const { map } = await makeMap();
  const free = LAYOUT.dataBlock + 100_000n;

  expect(map.judge(landing(free, new Uint8Array(4096)))).toMatch(/outside/);
  expect(map.judge(landing(free, new Uint8Array(512)))).toMatch(/outside/);
});

test("hints, marks and super blocks keep to their places", async () => {
  const { map, fsid } = await makeMap();
  const { hintsBlock, slotsBlock } = LAYOUT.quorum;

  expect(map.judge(landing(hintsBlock, node(fsid, hintsBlock)))).toMatch(/no hint/);
  expect(map.judge(landing(slotsBlock, node(fsid, slotsBlock)))).toMatch(/no mark/);
  expect(map.judge(landing(16n, new Uint8Array(4096)))).toMatch(/nobody/);
});

test.each([false, true])("in a new volume every block has one owner (aged: %s)", async (isAged) => {
  const mkfs = isAged ? { ...MKFS, lengthBlocks: 64 } : MKFS;

  expect(auditOf(await makeVolume(5n, isAged), mkfs)).toEqual([]);
});

test("an audit finds blocks with no owner, with two, and counters that are wrong", async () => {
  const { simulated, fsid, record } = await makeVolume(1n, false);
  const reader = new VolumeReader({ medium: simulated.disk.medium, fsid });
  const image = reader.imageOf(record.payload);
  const free = reader.freeOf(image.state);
  const changed = (change: Partial<VolumeState>): VolumeImage => ({
    ...image,
    state: { ...image.state, ...change },
  });
  const [spare, ...spares] = image.state.spares;
  if (spare === undefined) throw new Error("mkfs sets spares aside");
  const look = (one: VolumeImage): string =>
    audit({ image: one, free, layout: LAYOUT, mkfs: MKFS }).join("; ");

  expect(look(image)).toBe("");
  expect(look(changed({ spares }))).toContain(`${spare.lengthBlocks} blocks are leaked`);
  expect(look(changed({ metadataGrants: [spare] }))).toContain("belongs to");
  expect(look(changed({ free: EMPTY_STATE.free }))).toContain("counted");
  expect(look(changed({ quarantine: { blocks: 1, extentCount: 1 } }))).toContain("in quarantine");
});
