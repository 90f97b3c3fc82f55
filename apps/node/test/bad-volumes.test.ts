/*
 * What is not the volume that was meant: a clear error, its code, and not one byte changed.
 */
import { open, readFile, truncate, writeFile } from "node:fs/promises";
import { BlockType, openBlock, sealBlock } from "@holdfast/wire-format";
import { describe, expect, test } from "vitest";
import { openVolume, type Logger } from "../src/index.ts";
import { digestOf, errorOf, useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();
const BLOCK_BYTES = 4096;
const SIZE_BYTES = 16n << 20n;

/** Both super blocks of a volume of that size. */
const SUPERS = [16, Number(SIZE_BYTES) / BLOCK_BYTES - 1] as const;

/** Offsets in the payload of a super block, which is part of the format and never moves. */
const VERSION_OFFSET = 0;
const HASH_OFFSET = 4;

/** Changes blocks of a file. */
async function patch(
  path: string,
  blocks: readonly number[],
  change: (block: Buffer) => Uint8Array,
): Promise<void> {
  const file = await open(path, "r+");
  try {
    for (const block of blocks) {
      const bytes = Buffer.alloc(BLOCK_BYTES);
      await file.read(bytes, 0, BLOCK_BYTES, block * BLOCK_BYTES);
      await file.write(change(bytes), 0, BLOCK_BYTES, block * BLOCK_BYTES);
    }
  } finally {
    await file.close();
  }
}

/** Seals a super block again, with another payload. */
function resealed(block: Buffer, change: (payload: Buffer) => void): Uint8Array {
  const fsid = block.readBigUInt64LE(8);
  const address = block.readBigUInt64LE(16);
  const { header, payload } = openBlock(block, { fsid, address, types: [BlockType.super] });
  const copy = Buffer.from(payload);
  change(copy);
  return sealBlock(header, copy);
}

function garbage(block: Buffer): Uint8Array {
  block[2000] = (block[2000] ?? 0) ^ 1;
  return block;
}

describe("a command refuses, and changes nothing:", () => {
  /** Runs a command that writes, which must fail without writing; resolves with the error. */
  async function refusal(path: string): Promise<{ readonly code: string; readonly message: string }> {
    const before = await digestOf(path);
    const result = await place.run(["put", path, "key", "value", "--json"]);

    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(await digestOf(path)).toBe(before);
    return errorOf(result);
  }

  test("a file that is no volume", async () => {
    const path = place.path("notes.txt");
    await writeFile(path, "my notes\n".repeat(100_000));

    expect(await refusal(path)).toEqual({
      code: "ERR_HOLDFAST_NOT_A_VOLUME",
      message: `${path} is not a Holdfast volume: format it with "holdfast mkfs", or check the path`,
    });
  });

  test("a file of zeros, and one that is too short for anything", async () => {
    const [zeros, short] = [place.path("zeros"), place.path("short")];
    await Promise.all([writeFile(zeros, Buffer.alloc(1 << 20)), writeFile(short, "short")]);

    expect(await refusal(zeros)).toMatchObject({ code: "ERR_HOLDFAST_NOT_A_VOLUME" });
    expect(await refusal(short)).toEqual({
      code: "ERR_HOLDFAST_DEVICE_OPEN",
      message: `device ${short} cannot be opened: it has less than 4096 bytes`,
    });
  });

  test("a volume of another format version", async () => {
    const path = await place.volume("version.hf", SIZE_BYTES);
    await patch(path, SUPERS, (block) =>
      resealed(block, (payload) => payload.writeUInt32LE(7, VERSION_OFFSET)),
    );

    expect(await refusal(path)).toEqual({
      code: "ERR_HOLDFAST_FORMAT_VERSION",
      message: `${path} has format version 7, this program speaks 1: use the release that made it`,
    });
  });

  test("a volume with another format hash", async () => {
    const path = await place.volume("hash.hf", SIZE_BYTES);
    await patch(path, SUPERS, (block) =>
      resealed(block, (payload) => payload.writeBigUInt64LE(0xabcn, HASH_OFFSET)),
    );

    expect(await refusal(path)).toEqual({
      code: "ERR_HOLDFAST_FORMAT_HASH",
      message: expect.stringContaining(
        "was made by a build with other formats (hash 0000000000000abc, ours ",
      ),
    });
  });

  test("a volume that was cut off", async () => {
    const path = await place.volume("cut.hf", SIZE_BYTES);
    await truncate(path, 5 << 20);

    expect(await refusal(path)).toEqual({
      code: "ERR_HOLDFAST_VOLUME_TRUNCATED",
      message: `${path} has 5242880 bytes, the volume on it 16777216: it was cut off; restore the rest`,
    });
  });

  test("a volume whose super blocks are both damaged", async () => {
    const path = await place.volume("damaged.hf", SIZE_BYTES);
    await patch(path, SUPERS, garbage);

    expect(await refusal(path)).toEqual({
      code: "ERR_HOLDFAST_SUPER_CORRUPT",
      message: `both super blocks of ${path} are damaged: restore block 16 or the last block from a copy`,
    });
  });
});

describe.each([
  { which: "first", block: SUPERS[0] },
  { which: "second", block: SUPERS[1] },
])("with the $which super block damaged", ({ which, block }) => {
  test("the other one serves, and whoever opens the volume is warned", async () => {
    const path = await place.volume(`${which}.hf`, SIZE_BYTES);
    await patch(path, [block], garbage);
    const warnings: object[] = [];
    const log: Logger = {
      debug: () => {},
      info: () => {},
      warn: (facts) => warnings.push(facts),
      error: () => {},
    };

    const volume = await openVolume(path, { log });
    await volume.close();

    expect(warnings).toContainEqual({ event: "super.damaged", block: BigInt(block) });
  });
});

test("with the first super block damaged a command works, and warns", async () => {
  const path = await place.volume("warned.hf", SIZE_BYTES);
  await patch(path, [SUPERS[0]], garbage);

  expect(await place.run(["put", path, "key", "value"])).toMatchObject({
    code: 0,
    stderr: `holdfast: warning: super block 16 of ${path} is damaged, its copy serves\n`,
  });
});

test("another volume than the one that was meant is refused", async () => {
  const path = await place.volume("other.hf", SIZE_BYTES);
  const before = await readFile(path);

  await expect(openVolume(path, { fsid: 0x1234n })).rejects.toMatchObject({
    code: "ERR_HOLDFAST_VOLUME_FSID",
    message: expect.stringMatching(/is volume [0-9a-f]{16}, 0000000000001234 was asked for$/),
  });
  expect((await readFile(path)).equals(before)).toBe(true);
});
