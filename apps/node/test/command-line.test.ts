import { chmod, readFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { digestOf, errorOf, useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();

test("--version prints the version of the package", async () => {
  const text = await readFile(new URL("../package.json", import.meta.url), "utf8");

  expect(await place.succeed(["--version"])).toBe(`${JSON.parse(text).version}\n`);
});

test("--help goes to standard output and tells the exit codes", async () => {
  const help = await place.succeed(["--help"]);

  expect(help).toContain("Usage: holdfast");
  expect(help).toContain("4 no server in time");
});

test("without a command the help goes to standard error", async () => {
  const result = await place.run([]);

  expect(result).toMatchObject({ code: 2, stdout: "" });
  expect(result.stderr).toContain("Usage: holdfast");
});

test.each([
  { args: ["frob"], message: "unknown command 'frob'" },
  { args: ["pit", "v", "k"], message: "unknown command 'pit' (Did you mean put?)" },
  { args: ["get", "v", "k", "--frob"], message: "unknown option '--frob'" },
  { args: ["get", "v"], message: "missing required argument 'key'" },
  { args: ["get", "v", "k", "more"], message: "too many arguments" },
  { args: ["scan", "v", "--limit", "0"], message: "--limit must be a number from 1" },
  {
    args: ["get", "v", "k", "--wait", "soon"],
    message: '--wait must be a number from 1 to 86400, not "soon"',
  },
  { args: ["mkfs", "v", "--size", "much"], message: '"much" is not a size' },
  {
    args: ["mkfs", "v", "--size", "16M", "--label", "l".repeat(65)],
    message: "a label has at most 64 bytes",
  },
  { args: ["mkfs", "v", "--size", "16M", "--votes", "65"], message: "--votes must be a number from 1 to 64" },
  {
    args: ["import", "v", "f", "--key", "a", "--number", "b"],
    message: "--key and --number exclude each other",
  },
  { args: ["run", "v", "--name", ""], message: "--name is empty: leave it away, or give it a value" },
  { args: ["run", "v", "--fence-agent", ""], message: "--fence-agent is empty" },
  { args: ["get", "v", "k", "--dataset", ""], message: "--dataset is empty" },
  { args: ["status", "v", "--listen", ""], message: "--listen is empty" },
  { args: ["mkfs", "memory:a?size=64M"], message: "memory:a?size=64M would end with this command" },
  {
    args: ["scan", "v", "--reverse", "--from", "z", "--to", "a"],
    message: "--from z is behind --to a: --from is the smaller key, also with --reverse",
  },
  { args: ["status", ""], message: "the url is an empty word: give a path; is a variable not set?" },
  { args: ["import", "v", ""], message: "the file is an empty word" },
  { args: ["run", "v", "--name", "a", "--name", "b"], message: "--name is given twice: leave one away" },
  { args: ["get", "v", "k", "--wait", "1", "--wait", "2"], message: "--wait is given twice" },
  {
    args: ["status", "v", "--dataset", "main"],
    message: "unknown option '--dataset'; \"holdfast status --help\" shows what it takes",
  },
  {
    args: ["dataset", "frob"],
    message: "unknown command 'frob'; \"holdfast dataset --help\" lists the commands",
  },
  {
    args: ["run", "v", "--log-level", "loud"],
    message: "Allowed choices are debug, info, warn, error, silent;",
  },
])("a mistake is told and ends with exit code 2: holdfast $args", async ({ args, message }) => {
  const result = await place.run(args);

  expect(result).toMatchObject({ code: 2, stdout: "" });
  expect(result.stderr).toMatch(/^holdfast: .* \(ERR_HOLDFAST_USAGE\)\n$/);
  expect(result.stderr).toContain(message);
});

test("an empty prefix, label or value is meant", async () => {
  await place.succeed(["mkfs", "empty.hf", "--size", "16M", "--label", ""]);
  await place.succeed(["put", "empty.hf", "key", ""]);

  expect(await place.succeed(["scan", "empty.hf", "--prefix", ""])).toBe("key\t\n");
});

test("with --json a mistake is told as a document", async () => {
  const result = await place.run(["get", "--json"]);

  expect(result).toMatchObject({ code: 2, stdout: "" });
  expect(errorOf(result)).toEqual({
    code: "ERR_HOLDFAST_USAGE",
    message: "missing required argument 'url'; \"holdfast get --help\" shows what it takes",
  });
});

test("--json behind -- is a value, not an option", async () => {
  const url = await place.volume("dashes.hf");

  expect(await place.succeed(["put", url, "--", "--json", "--json"])).toBe("");
  expect(await place.succeed(["get", url, "--", "--json"])).toBe("--json");
});

test("scan and export end in peace when their reader does", async () => {
  const url = await place.volume("pipe.hf");
  await place.member(url, ["--log-level", "error"]);
  const lines = Array.from(
    { length: 20_000 },
    (_, index) => `{"key":"key-${index}","value":"${"x".repeat(20)}"}`,
  );
  await place.succeed(["import", url, "-"], { input: lines.join("\n") });

  for (const args of [
    ["scan", url],
    ["export", url, "-"],
  ]) {
    const child = place.spawn(args);
    let stderr = "";
    child.stderr?.on("data", (text) => (stderr += String(text)));
    if (child.stdout !== null) await once(child.stdout, "readable");
    child.stdout?.destroy();
    await once(child, "close");

    expect({ args, code: child.exitCode, stderr }).toEqual({ args, code: 0, stderr: "" });
  }
});

test("output that cannot be written is a failure", async () => {
  const url = await place.volume("full.hf");
  const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));
  const child = spawn(
    "sh",
    ["-c", `exec "${process.execPath}" "${main}" dataset list "${url}" > /dev/full`],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  let stderr = "";
  child.stderr.on("data", (text) => (stderr += String(text)));

  await once(child, "close");

  expect({ code: child.exitCode, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("ENOSPC") });
});

test("a volume that does not exist, a directory and an unknown kind of URL cannot be opened", async () => {
  const results = await Promise.all(
    ["missing.hf", ".", "rbd:pool/image"].map((url) => place.run(["get", url, "key"])),
  );

  expect(results.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
    [
      "missing.hf cannot be opened: there is no such file: check the path, or make it first",
      ". cannot be opened: it is neither a file nor a block device",
      "rbd:pool/image cannot be opened: there is no driver for this kind of URL",
    ].map((message) => ({ code: 1, stderr: `holdfast: device ${message} (ERR_HOLDFAST_DEVICE_OPEN)\n` })),
  );
});

test("a volume that may only be read is refused and stays as it is", async () => {
  const url = await place.volume("readonly.hf");
  const before = await digestOf(url);
  // Root may write everywhere, so the command runs as somebody who may not.
  const uid = process.getuid?.() === 0 ? 65_534 : undefined;
  await Promise.all([chmod(place.directory, 0o755), chmod(url, 0o444)]);

  const result = await place.run(["put", url, "key", "value"], uid === undefined ? {} : { uid });

  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr).toContain(`device ${url} cannot be opened: this process may not: check its rights`);
  expect(result.stderr).toContain("(ERR_HOLDFAST_DEVICE_OPEN)");
  expect(await digestOf(url)).toBe(before);
});
