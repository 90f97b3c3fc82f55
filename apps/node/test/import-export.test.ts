import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Access, connectToMember } from "../src/index.ts";
import { errorOf, useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();
let url = "";
let access: Access;

beforeAll(async () => {
  url = await place.volume("volume.hf");
  const { socket } = await (await place.member(url, ["--log-level", "error"])).started;
  access = await connectToMember(url, socket);
});

afterAll(() => access.close());

/** Makes a dataset and imports into it; resolves with how that ended. */
async function importInto(dataset: string, source: string, ...args: readonly string[]) {
  await access.createDataset(dataset);
  return place.run(["import", url, "-", "--dataset", dataset, "--json", ...args], { input: source });
}

async function scan(dataset: string): Promise<string> {
  let text = "";
  for await (const page of access.pages(dataset, {}))
    for (const { key, value } of page) text += `${textOf(key)}\t${textOf(value)}\n`;
  return text;
}

test("JSON lines are imported, blank lines, a byte order mark and carriage returns left aside", async () => {
  const result = await importInto(
    "lines",
    '\uFEFF\n{"key":"a","value":"1"}\r\n\n{"key":"b","value":{"x":[2]}}',
  );

  expect(result).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(result.stdout)).toMatchObject({ records: 2, dataset: "lines", via: "local member" });
  expect(await scan("lines")).toBe('a\t1\nb\t{"x":[2]}\n');
});

test("a JSON array of a file is imported, numbered behind a prefix", async () => {
  await writeFile(place.path("array.json"), ' [ {"name":"x"},\n  "text", 7 ]\n');
  await access.createDataset("array");

  expect(await place.succeed(["import", url, "array.json", "--dataset", "array", "--number", "n/"])).toMatch(
    /^imported 3 records into "array" in /,
  );
  expect(await scan("array")).toBe('n/00000000\t{"name":"x"}\nn/00000001\t"text"\nn/00000002\t7\n');
});

test("a field is the key, and the line is kept to the letter", async () => {
  const line = '{"id": 12,  "exact": 12345678901234567890, "text": "\\u00e4"}';

  expect(await importInto("field", `${line}\n`, "--key", "id")).toMatchObject({ code: 0 });
  expect(await scan("field")).toBe(`12\t${line}\n`);
});

test("of two records with one key the later one stays, whatever is under way", async () => {
  const lines = Array.from({ length: 3000 }, (_, index) => `{"key":"k${index % 7}","value":"${index}"}`);

  expect(await importInto("twice", lines.join("\n"), "--batch", "5")).toMatchObject({ code: 0 });
  const last = Array.from({ length: 7 }, (_, key) => lines.findLastIndex((_, index) => index % 7 === key));
  expect(await scan("twice")).toBe(last.map((value, key) => `k${key}\t${value}\n`).join(""));
});

test.each([
  {
    what: "a line that is no JSON",
    source: '{"key":"a","value":1}\n{"key":\n{"key":"c","value":3}\n',
    message: /^line 2 is not JSON: .*; imported before it: 1$/,
  },
  {
    what: "a record without a key",
    source: '{"key":"a","value":1}\n\n{"id":7}\n',
    message: /^line 3 has no "key" and "value": name the field that is the key with --key, .*: 1$/,
  },
  {
    what: "a key that is too long",
    source: `{"key":"a","value":1}\n{"key":"${"k".repeat(30)}","value":1}\n`,
    message: /^line 2: a user key has 1 to 21 bytes, this one has 30; imported before it: 1$/,
  },
  {
    what: "a value that is too long",
    source: `{"key":"a","value":1}\n{"key":"b","value":"${"v".repeat(70_000)}"}\n`,
    message: /^line 2: a value has at most 65536 bytes, this one has 70000; imported before it: 1$/,
  },
  {
    what: "base64 that is none",
    source: '{"key":"a","value":1}\n{"key":"YQ==","value":"?","encoding":"base64"}\n',
    message: /^line 2: its "encoding" is not "base64", or key and value are not; imported before it: 1$/,
  },
  {
    what: "an array that ends in the middle",
    source: '[{"key":"a","value":1},{"key":"b"',
    message: /^the array ends in the middle, in element 1; imported before it: 1$/,
  },
  {
    what: "text behind an array",
    source: '[{"key":"a","value":1}]\n{"key":"b","value":2}\n',
    message: /^element 1 cannot be read: .*; imported before it: 1$/,
  },
])(
  "$what ends the import: it is named, and what stands before it stays",
  async ({ what, source, message }) => {
    const dataset = what.replaceAll(" ", "-").slice(0, 21);
    const result = await importInto(dataset, source);

    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(errorOf(result)).toMatchObject({
      code: "ERR_HOLDFAST_USAGE",
      message: expect.stringMatching(message),
    });
    expect(await scan(dataset)).toBe("a\t1\n");
  },
);

test("an empty source holds no records", async () => {
  const result = await importInto("empty", "");

  expect(JSON.parse(result.stdout)).toMatchObject({ records: 0 });
});

test.each([
  { path: "missing.jsonl", reason: "ENOENT" },
  { path: ".", reason: "it is a directory" },
])("a source that cannot be read is told: $path", async ({ path, reason }) => {
  expect(await place.run(["import", url, path])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(`^holdfast: cannot read ${path}: ${reason}.*\\(ERR_HOLDFAST_FILE\\)\n$`),
  });
});

test("what is exported and imported again is the same, binary keys and values too", async () => {
  const records = [
    { key: "separators", value: "one\u2028two\u2029three\nfour\r\n" },
    { key: "empty", value: "" },
    { key: "long", value: "ä€😀".repeat(6000) },
    ...Array.from({ length: 200 }, (_, index) => ({
      key: Buffer.from([255, index]).toString("base64"),
      value: Buffer.from([index, 0, 128, 255]).toString("base64"),
      encoding: "base64",
    })),
  ];
  const lines = records.map((record) => JSON.stringify(record)).join("\n");
  expect(await importInto("source", lines)).toMatchObject({ code: 0 });

  expect(
    JSON.parse(await place.succeed(["export", url, "source.jsonl", "--dataset", "source", "--json"])),
  ).toEqual({ records: records.length, dataset: "source", path: "source.jsonl" });
  await access.createDataset("copy");
  await place.succeed(["import", url, "source.jsonl", "--dataset", "copy"]);

  const exported = await readFile(place.path("source.jsonl"), "utf8");
  const byKey = (a: { key: string }, b: { key: string }): number => (a.key < b.key ? -1 : 1);
  const parsed: { key: string }[] = exported
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(parsed.sort(byKey)).toEqual(records.sort(byKey));
  expect(await place.succeed(["export", url, "-", "--dataset", "copy"])).toBe(exported);
});

test("an export writes over nothing, and leaves nothing behind when it fails", async () => {
  await writeFile(place.path("mine.txt"), "mine");

  expect(await place.run(["export", url, "mine.txt"])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(
      "cannot write mine.txt: it is there already: give the name of a new file",
    ),
  });
  expect(await place.run(["export", url, "new.jsonl", "--dataset", "nothing"])).toMatchObject({ code: 3 });
  expect(await readFile(place.path("mine.txt"), "utf8")).toBe("mine");
  await expect(readFile(place.path("new.jsonl"))).rejects.toThrow("ENOENT");
});

test.each([
  { signal: "SIGINT", code: 130 },
  { signal: "SIGTERM", code: 143 },
] as const)("$signal ends an import in order, with exit code $code", async ({ signal, code }) => {
  const child = place.spawn(["import", url, "-", "--dataset", "main", "--batch", "1", "--json"]);
  let stderr = "";
  child.stderr?.on("data", (text) => (stderr += String(text)));
  // The source has no end; once these are there, the import waits for more.
  child.stdin?.write(`{"key":"${signal}-1","value":1}\n{"key":"${signal}-2","value":2}\n`);
  await waitForItem(`${signal}-1`);

  child.kill(signal);
  await once(child, "close");

  expect({ code: child.exitCode, signal: child.signalCode }).toEqual({ code, signal: null });
  expect(JSON.parse(stderr)).toEqual({
    error: {
      code: "ERR_HOLDFAST_INTERRUPTED",
      message: expect.stringMatching(`^ended by ${signal}; imported before it: at least [12]$`),
    },
  });
});

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

/** Resolves once others see an item. */
async function waitForItem(key: string): Promise<void> {
  while ((await access.get("main", key)) === undefined);
}
