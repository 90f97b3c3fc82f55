import { beforeAll, describe, expect, test } from "vitest";
import { errorOf, type MemberProcess, useWorkplace } from "./holdfast-process.ts";

describe.each([
  { way: "alone", via: "own membership", isServed: false },
  { way: "through a running member", via: "local member", isServed: true },
])("a command $way", ({ via, isServed }) => {
  const place = useWorkplace();
  let url = "";
  let member: MemberProcess | undefined;

  beforeAll(async () => {
    url = await place.volume("volume.hf");
    if (isServed) member = await place.member(url);
  });

  test("puts a value and prints nothing; get prints the value as it is", async () => {
    expect(await place.succeed(["put", url, "ada", "1815"])).toBe("");

    expect(await place.succeed(["get", url, "ada"])).toBe("1815");
  });

  test("tells a missing key by exit code 3", async () => {
    const result = await place.run(["get", url, "nobody", "--json"]);

    expect(result).toMatchObject({ code: 3, stdout: "" });
    expect(errorOf(result)).toEqual({
      code: "ERR_HOLDFAST_NOT_FOUND",
      message: 'there is no key "nobody" in dataset "main"',
    });
  });

  test("creates and lists datasets, and scans a range of one", async () => {
    expect(await place.succeed(["dataset", "create", url, "people"])).toBe('created dataset "people"\n');
    const items = ["a", "b1", "b2", "c"].map((key) => JSON.stringify({ key, value: `${key}!` })).join("\n");
    await place.succeed(["import", url, "-", "--dataset", "people"], { input: items });

    const scan = (...args: readonly string[]): Promise<string> =>
      place.succeed(["scan", url, "--dataset", "people", ...args]);
    expect(await scan()).toBe("a\ta!\nb1\tb1!\nb2\tb2!\nc\tc!\n");
    expect(await scan("--from", "b1", "--to", "c", "--limit", "2", "--json")).toBe(
      '{"key":"b1","value":"b1!"}\n{"key":"b2","value":"b2!"}\n',
    );
    expect(await scan("--prefix", "b", "--reverse")).toBe("b2\tb2!\nb1\tb1!\n");
    expect(JSON.parse(await place.succeed(["dataset", "list", url, "--json"]))).toEqual({
      datasets: ["main", "people"],
    });
  });

  test("shows the volume, its server and its members", async () => {
    const status = JSON.parse(await place.succeed(["status", url, "--json"]));

    expect(status).toMatchObject({ url, label: "volume.hf", votes: 1, via });
    expect(status.members).toHaveLength(1);
    expect(status.members[0]).toMatchObject({ rid: status.server, isVoter: true, isConnected: true });
    expect(status.server).toBe((await member?.started)?.rid ?? status.members[0].rid);
    expect(await place.succeed(["status", url])).toMatch(
      /^volume {4}[0-9a-f]{16} "volume.hf" on .*\nserver /,
    );
  });
});

describe("one item", () => {
  const place = useWorkplace();
  let url = "";

  beforeAll(async () => {
    url = await place.volume("volume.hf");
    await place.member(url, ["--log-level", "error"]);
  });

  test("is told as a document with --json", async () => {
    expect(JSON.parse(await place.succeed(["put", url, "grace", "-", "--json"], { input: "1906" }))).toEqual({
      key: "grace",
      bytes: 4,
      dataset: "main",
    });

    expect(JSON.parse(await place.succeed(["get", url, "grace", "--json"]))).toEqual({
      key: "grace",
      value: "1906",
    });
  });

  test("is told as base64 when it is binary", async () => {
    const value = Uint8Array.from({ length: 256 }, (_, index) => index);
    await place.succeed(["put", url, "bytes", "-"], { input: value });

    expect(JSON.parse(await place.succeed(["get", url, "bytes", "--json"]))).toEqual({
      key: Buffer.from("bytes").toString("base64"),
      value: Buffer.from(value).toString("base64"),
      encoding: "base64",
    });
  });

  test("goes away together with others", async () => {
    await place.succeed(["import", url, "-"], { input: '{"key":"x","value":1}\n{"key":"y","value":2}\n' });

    expect(JSON.parse(await place.succeed(["del", url, "x", "y", "z", "--json"]))).toEqual({
      deleted: 3,
      dataset: "main",
    });
    expect(await place.run(["get", url, "x"])).toMatchObject({ code: 3 });
  });
});

describe("what no item can be is refused:", () => {
  const place = useWorkplace();
  let url = "";

  beforeAll(async () => {
    url = await place.volume("volume.hf");
    await place.member(url, ["--log-level", "error"]);
  });

  test.each([
    { what: "too long a key", key: "k".repeat(22), lengthBytes: 22 },
    { what: "an empty key", key: "", lengthBytes: 0 },
    { what: "a key of few letters and many bytes", key: "ü".repeat(11), lengthBytes: 22 },
  ])("$what", async ({ key, lengthBytes }) => {
    const result = await place.run(["put", url, key, "value", "--json"]);

    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(errorOf(result)).toEqual({
      code: "ERR_HOLDFAST_KEY_TOO_LONG",
      message: `a user key has 1 to 21 bytes, this one has ${lengthBytes}`,
    });
  });

  test("a value of more than 64 KiB; one of 64 KiB is taken", async () => {
    const put = ["put", url, "long", "-"];
    const refused = await place.run(put, { input: "x".repeat(65_537) });

    expect(refused).toMatchObject({
      code: 2,
      stderr: "holdfast: a value has at most 65536 bytes, this one has 65537 (ERR_HOLDFAST_VALUE_TOO_LONG)\n",
    });
    expect(await place.run(["get", url, "long"])).toMatchObject({ code: 3 });
    await place.succeed(put, { input: "x".repeat(65_536) });
    expect(await place.succeed(["get", url, "long"])).toHaveLength(65_536);
  });

  test.each(["nothing", "n".repeat(100)])(
    "an item of the unknown dataset %s, by exit code 3",
    async (name) => {
      expect(await place.run(["put", url, "key", "value", "--dataset", name])).toMatchObject({
        code: 3,
        stdout: "",
        stderr: `holdfast: there is no dataset "${name}": create it first (ERR_HOLDFAST_DATASET_UNKNOWN)\n`,
      });
    },
  );

  test("a dataset with an impossible name, and a second one with the same name", async () => {
    expect(await place.run(["dataset", "create", url, "no spaces"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"no spaces" cannot name a dataset'),
    });
    expect(await place.run(["dataset", "create", url, "main"])).toMatchObject({
      code: 1,
      stderr: 'holdfast: there is a dataset "main" already (ERR_HOLDFAST_DATASET_EXISTS)\n',
    });
  });
});
