import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { open, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { makeVolume, openVolume } from "../src/index.ts";
import { digestOf, errorOf, useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();

test("mkfs makes a file of the size that was asked for, and tells what it made", async () => {
  const made = JSON.parse(
    await place.succeed(["mkfs", "new.hf", "--size", "16M", "--label", "first", "--votes", "2", "--json"]),
  );

  expect(made).toEqual({
    url: "new.hf",
    fsid: expect.stringMatching(/^[0-9a-f]{16}$/),
    label: "first",
    votes: 2,
    sizeBytes: 16 * 1024 * 1024,
    terms: 64,
  });
  expect(await stat(place.path("new.hf"))).toMatchObject({ size: 16 * 1024 * 1024 });
});

test("mkfs takes a file of zeros, and an empty one with a size", async () => {
  await writeFile(place.path("zeros.hf"), "");
  await truncate(place.path("zeros.hf"), 16 << 20);
  await writeFile(place.path("empty.hf"), "");

  expect(await place.succeed(["mkfs", "zeros.hf"])).toMatch(
    /^made volume [0-9a-f]{16} on zeros.hf: 16 MiB, /,
  );
  await makeVolume(place.path("empty.hf"), { sizeBytes: 16n << 20n });
});

describe("without --force mkfs refuses, and changes nothing:", () => {
  /** Runs mkfs, which must end with that code and must not write; resolves with the message. */
  async function refusal(path: string, ...args: readonly string[]): Promise<string> {
    const before = await digestOf(path);
    const result = await place.run(["mkfs", path, "--json", ...args]);

    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(await digestOf(path)).toBe(before);
    const { code, message } = errorOf(result);
    expect(code).toBe("ERR_HOLDFAST_VOLUME_EXISTS");
    return message;
  }

  test("a volume, also where only one of its super blocks is left", async () => {
    const path = await place.volume("volume.hf", 16n << 20n);
    expect(await refusal(path)).toMatch(
      /holds the Holdfast volume [0-9a-f]{16}: format something else, or use --force/,
    );
    expect(await refusal(path, "--size", "32M")).toMatch(/holds the Holdfast volume/);
    const file = await open(path, "r+");
    await file.write(Buffer.alloc(4096), 0, 4096, 16 * 4096);
    expect(await refusal(path)).toMatch(/holds the Holdfast volume/);
    await file.close();
  });

  test("a volume that was cut off", async () => {
    const path = await place.volume("cut.hf", 32n << 20n);
    await truncate(path, 20 << 20);

    expect(await refusal(path)).toMatch(/holds a Holdfast volume \(ERR_HOLDFAST_VOLUME_TRUNCATED\)/);
  });

  test.skipIf(!existsSync("/usr/sbin/mkfs.ext4") && !existsSync("/sbin/mkfs.ext4"))(
    "an ext4 file system",
    async () => {
      const path = place.path("ext4.img");
      await writeFile(path, "");
      await truncate(path, 32 << 20);
      const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
      await promisify(execFile)("mkfs.ext4", ["-q", path], { env });

      expect(await refusal(path)).toMatch(/holds ext2\/3\/4 \(at byte 1080\)/);
    },
  );

  test("any other data, at whatever size", async () => {
    const path = place.path("notes.txt");
    await writeFile(path, "my notes\n");
    expect(await refusal(path, "--size", "16M")).toMatch(/notes.txt holds data: /);
    await writeFile(path, Buffer.concat([Buffer.alloc(5000), Buffer.from("x"), Buffer.alloc(16 << 20)]));
    expect(await refusal(path)).toMatch(/holds data \(at byte 5000\)/);
  });
});

test("--force formats no volume that a voter has open: it would wipe out the new one", async () => {
  const path = await place.volume("open.hf");
  const { rid } = await (await place.member(path)).started;

  const result = await place.run(["mkfs", path, "--force", "--json"]);

  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(errorOf(result)).toEqual({
    code: "ERR_HOLDFAST_VOLUME_EXISTS",
    message: `${path} is open: stop member ${rid} first, or nothing of a new volume would be left`,
  });
  await place.succeed(["put", path, "k", "1"]);
});

test("--force formats whatever is there", async () => {
  const path = place.path("old.img");
  await writeFile(path, Buffer.alloc(16 << 20, "old"));

  await place.succeed(["mkfs", path, "--force"]);

  await using volume = await openVolume(path);
  expect(await volume.datasets()).toEqual(["main"]);
});

test.each([
  {
    args: ["small.hf", "--size", "1M"],
    code: 2,
    message: "a volume needs at least 16777216 bytes, the device has 1048576",
  },
  {
    args: ["absent.hf"],
    code: 1,
    message: "there is no absent.hf: give a size to make a file, or check the path",
  },
  { args: ["no/such/directory.hf", "--size", "16M"], code: 1, message: "cannot be opened: ENOENT" },
  {
    args: ["huge.hf", "--size", "4000T"],
    code: 1,
    message: "huge.hf of 4398046511104000 bytes does not fit: . has ",
  },
  { args: [".", "--size", "16M"], code: 2, message: ". has the size it has" },
])("mkfs makes nothing when it cannot: $args", async ({ args, code, message }) => {
  const result = await place.run(["mkfs", ...args]);

  expect(result).toMatchObject({ code, stdout: "", stderr: expect.stringContaining(message) });
  expect(args[0] !== "." && existsSync(place.path(args[0] ?? ""))).toBe(false);
});

test("mkfs does not grow, shrink or format a file when the size asked for is less than its own", async () => {
  await writeFile(place.path("large.hf"), Buffer.alloc(20 << 20));

  const result = await place.run(["mkfs", "large.hf", "--size", "16M"]);

  expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining("large.hf has 20971520 bytes") });
  expect((await readFile(place.path("large.hf"))).every((byte) => byte === 0)).toBe(true);
});
