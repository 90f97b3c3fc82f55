import { expect, test } from "vitest";
import { type Dataset, DatasetError, type ScanOptions } from "../../src/index.ts";
import { MemberWorld, textOf } from "../world/member-world.ts";

async function one(): Promise<{ world: MemberWorld; data: Dataset }> {
  const world = await MemberWorld.format();
  const { member } = await world.open();
  return { world, data: await member.dataset() };
}

async function keys(
  { world, data }: { world: MemberWorld; data: Dataset },
  options: ScanOptions,
): Promise<string[]> {
  const found: string[] = [];
  const scan = (async (): Promise<void> => {
    for await (const { key } of data.scan(options)) found.push(textOf(key) ?? "");
  })();
  await world.finish(scan);
  return found;
}

test("every volume has the dataset main, under that name and without one", async () => {
  const world = await MemberWorld.format();
  const { member } = await world.open();
  const [named, unnamed] = [await member.dataset("main"), await member.dataset()];
  await world.finish(named.put("k", "1"));

  expect(textOf(await world.finish(unnamed.get("k")))).toBe("1");
  expect(await world.finish(member.datasets())).toEqual(["main"]);
  await expect(member.createDataset("main")).rejects.toMatchObject({ code: "ERR_HOLDFAST_DATASET_EXISTS" });
});

test("datasets are separate, are found by everybody, and outlive who made them", async () => {
  const world = await MemberWorld.format();
  const [first, second] = [await world.open(), await world.open()];
  const users = await world.finish(first.member.createDataset("users"));
  const orders = await world.finish(second.member.createDataset("orders"));
  await world.finish(users.put("k", "user"));
  await world.finish(orders.put("k", "order"));
  await world.close(first);

  const found = await world.finish(second.member.dataset("users"));

  expect(found.name).toBe("users");
  expect(textOf(await world.finish(found.get("k")))).toBe("user");
  expect(textOf(await world.finish(orders.get("k")))).toBe("order");
  expect(await world.finish(second.member.datasets())).toEqual(["main", "orders", "users"]);
});

test("of two members that create one dataset at the same time, one does and the other is told so", async () => {
  const world = await MemberWorld.format();
  const members = [await world.open(), await world.open()];

  const outcomes = await world.finish(
    Promise.allSettled(members.map(({ member }) => member.createDataset("same"))),
  );

  const made = outcomes.filter(({ status }) => status === "fulfilled");
  const refused = outcomes.filter(({ status }) => status === "rejected");
  expect(made).toHaveLength(1);
  expect(refused).toMatchObject([{ reason: { code: "ERR_HOLDFAST_DATASET_EXISTS" } }]);
});

test("datasets that are made at the same time under different names have nothing in common", async () => {
  const world = await MemberWorld.format();
  const [first, second] = [await world.open(), await world.open()];
  const makers = [first.member, second.member, first.member, second.member];
  const made = await world.finish(
    Promise.all(makers.map((member, index) => member.createDataset(`set-${index}`))),
  );
  for (const data of made) await world.finish(data.put("k", data.name));

  for (const data of made) expect(textOf(await world.finish(data.get("k")))).toBe(data.name);
});

test("a dataset that nobody made is unknown, whatever its name looks like", async () => {
  const { world } = await one();
  const { member } = await world.open();
  for (const name of ["missing", "", "\0", "a/b", "x".repeat(22)]) {
    const error = await world.finish(member.dataset(name).catch((reason: unknown) => reason));
    expect(error).toBeInstanceOf(DatasetError);
    expect(error).toMatchObject({ code: "ERR_HOLDFAST_DATASET_UNKNOWN", facts: { dataset: name } });
  }
});

test.each(["", "-a", ".a", "a b", "ö", "a\0", "x".repeat(22)])("%j cannot name a dataset", async (name) => {
  const { world } = await one();
  const { member } = await world.open();

  await expect(world.finish(member.createDataset(name))).rejects.toBeInstanceOf(RangeError);
});

test("the longest name is 21 characters", async () => {
  const { world } = await one();
  const { member } = await world.open();
  const name = `A0._-${"x".repeat(16)}`;

  await world.finish(member.createDataset(name));

  expect(await world.finish(member.datasets())).toContain(name);
});

test("text is its UTF-8, and bytes are bytes", async () => {
  const { world, data } = await one();
  await world.finish(data.put("schlüssel", "größe"));

  expect(textOf(await world.finish(data.get(new TextEncoder().encode("schlüssel"))))).toBe("größe");
  await world.finish(data.put(new Uint8Array([0, 255]), new Uint8Array([1, 0])));
  expect(await world.finish(data.get(new Uint8Array([0, 255])))).toEqual(new Uint8Array([1, 0]));
});

test("an empty key, a key that is too long, and a value that is too long are refused", async () => {
  const { world, data } = await one();

  await expect(world.finish(data.put("x".repeat(21), "v"))).resolves.toBeUndefined();
  for (const key of ["", "x".repeat(22)])
    expect(await refusalOf(() => data.put(key, "v"))).toMatchObject({ code: "ERR_HOLDFAST_KEY_TOO_LONG" });
  expect(await refusalOf(() => world.finish(data.put("k", new Uint8Array(65_537))))).toMatchObject({
    code: "ERR_HOLDFAST_VALUE_TOO_LONG",
  });
});

const scanned = one().then(async ({ world, data }) => {
  await world.finish(data.batch(["c", "ab", "b", "a", "abc", "ba"].map((key) => ({ key, value: key }))));
  return { world, data };
});

test.each<[string, ScanOptions, string]>([
  ["everything", {}, "a ab abc b ba c"],
  ["from a key on", { from: "ab" }, "ab abc b ba c"],
  ["up to a key", { to: "ab" }, "a ab"],
  ["between keys, both included", { from: "ab", to: "b" }, "ab abc b"],
  ["a prefix", { prefix: "ab" }, "ab abc"],
  ["a prefix from a key on", { prefix: "a", from: "ab" }, "ab abc"],
  ["a prefix up to a key", { prefix: "a", to: "ab" }, "a ab"],
  ["an empty prefix", { prefix: "" }, "a ab abc b ba c"],
  ["nothing, where the end lies before the start", { from: "c", to: "a" }, ""],
  ["nothing, where prefix and start exclude each other", { prefix: "a", from: "b" }, ""],
  ["backwards", { isReverse: true }, "c ba b abc ab a"],
  ["a prefix backwards", { prefix: "b", isReverse: true }, "ba b"],
  ["so many", { limit: 2 }, "a ab"],
  ["so many backwards", { limit: 2, isReverse: true }, "c ba"],
  ["none", { limit: 0 }, ""],
])("a scan of %s", async (_, options, wanted) => {
  expect((await keys(await scanned, options)).join(" ")).toBe(wanted);
});

test("a warm read is answered at once, and a cold one is not", async () => {
  const { world, data } = await one();
  expect(data.tryGet("k")).toBeUndefined();
  await world.finish(data.put("k", "1"));

  expect(textOf(data.tryGet("k")?.value)).toBe("1");
  expect(data.tryGet("k2")?.value).toBeUndefined();
});

test("a transaction reads what it wrote, deletes, and gives back what its function gives", async () => {
  const { world, data } = await one();
  await world.finish(data.put("gone", "1"));

  const seen = await world.finish(
    data.transaction(async (transaction) => {
      transaction.put("new", "2");
      transaction.delete("gone");
      return [textOf(await transaction.get("new")), await transaction.get("gone")];
    }),
  );

  expect(seen).toEqual(["2", undefined]);
  expect(await keys({ world, data }, {})).toEqual(["new"]);
});

test("a transaction whose function fails changes nothing", async () => {
  const { world, data } = await one();
  const error = new Error("no");

  const outcome = data.transaction(async (transaction) => {
    transaction.put("k", "1");
    throw error;
  });

  await expect(world.finish(outcome)).rejects.toBe(error);
  expect(await keys({ world, data }, {})).toEqual([]);
});

async function refusalOf(action: () => Promise<unknown>): Promise<unknown> {
  try {
    return await action();
  } catch (error) {
    return error;
  }
}
