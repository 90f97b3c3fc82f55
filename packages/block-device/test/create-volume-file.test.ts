import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createVolumeFile } from "../src/index.ts";

let directory = "";

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "holdfast-"));
});

afterAll(() => rm(directory, { recursive: true }));

test("a new file is all zeros, and its space is taken", async () => {
  const path = join(directory, "new");

  await createVolumeFile(path, 3_145_728n + 4096n);

  const facts = await stat(path);
  expect(facts.size).toBe(3_149_824);
  expect(facts.blocks * 512).toBeGreaterThanOrEqual(3_149_824);
  expect((await readFile(path)).every((value) => value === 0)).toBe(true);
});

test("a sparse file has its length and no space yet", async () => {
  const path = join(directory, "sparse");

  await createVolumeFile(path, 67_108_864n, { isSparse: true });

  const facts = await stat(path);
  expect(facts.size).toBe(67_108_864);
  expect(facts.blocks * 512).toBeLessThan(1_048_576);
});

test("a shorter file grows and keeps what it holds", async () => {
  const path = join(directory, "grown");
  await writeFile(path, "precious");

  await createVolumeFile(path, 8192n);

  const content = await readFile(path);
  expect(content).toHaveLength(8192);
  expect(content.subarray(0, 9).toString("latin1")).toBe("precious\0");
});

test("a longer file is left as it is", async () => {
  const path = join(directory, "longer");
  await writeFile(path, "x".repeat(10_000));

  await createVolumeFile(path, 4096n);

  expect(await readFile(path, "latin1")).toBe("x".repeat(10_000));
});

test.each([0n, -4096n, 4095n, 5000n, 2n ** 60n])("%s bytes are no size of a volume", async (sizeBytes) => {
  await expect(createVolumeFile(join(directory, "never"), sizeBytes)).rejects.toBeInstanceOf(RangeError);
});

test("a file that cannot be made says so and keeps the cause", async () => {
  const path = join(directory, "no", "such", "folder");

  await expect(createVolumeFile(path, 4096n)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DEVICE_OPEN",
    facts: { device: path },
    cause: { code: "ENOENT" },
  });
});
