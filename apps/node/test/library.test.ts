import { expect, test } from "vitest";
import { type Dataset, makeVolume, openVolume, type Volume } from "../src/index.ts";
import { useWorkplace, VOLUME_BYTES } from "./holdfast-process.ts";

const place = useWorkplace();

async function text(dataset: Dataset, key: string): Promise<string | undefined> {
  const value = await dataset.get(key);
  return value === undefined ? undefined : Buffer.from(value).toString();
}

test("a volume is closed where its scope ends, and opens again with what was put", async () => {
  const url = await place.volume("scope.hf");
  let leaked: Volume;
  {
    await using volume = await openVolume(url);
    leaked = volume;
    await (await volume.dataset()).put("ada", "1815");
  }

  await expect(leaked.status()).rejects.toMatchObject({ code: "ERR_HOLDFAST_CLOSED" });
  await using again = await openVolume(url);
  expect(await text(await again.dataset(), "ada")).toBe("1815");
});

test("two members in one process see each other's writes", async () => {
  const url = await place.volume("pair.hf");
  await using first = await openVolume(url, { name: "first" });
  await using second = await openVolume(url, { name: "second", listen: false });
  const [one, two] = await Promise.all([first.dataset(), second.dataset()]);

  await one.put("counter", "0");
  const increment = (dataset: Dataset): Promise<void> =>
    dataset.transaction(async (transaction) => {
      const value = await transaction.get("counter");
      transaction.put("counter", String(Number(Buffer.from(value ?? []).toString()) + 1));
    });
  await Promise.all([one, two, one, two].map(increment));

  expect(await text(one, "counter")).toBe("4");
  expect(await text(two, "counter")).toBe("4");
  const { members, server } = await second.status();
  expect(Object.fromEntries(members.map(({ name, isVoter }) => [name, isVoter]))).toEqual({
    first: true,
    second: false,
  });
  expect(server).toBe(first.rid);
  expect(first.report()).toMatchObject({ isServing: true, isConnected: true, label: "pair.hf" });
  expect(second.report()).toMatchObject({ isServing: false, isConnected: true });
});

test("two volumes in one process have nothing to do with each other", async () => {
  const [left, right] = await Promise.all([place.volume("left.hf"), place.volume("right.hf")]);
  await using one = await openVolume(left);
  await using two = await openVolume(right);

  await (await one.dataset()).put("key", "left");
  await one.createDataset("only-left");

  expect(one.fsid).not.toBe(two.fsid);
  expect(await text(await two.dataset(), "key")).toBeUndefined();
  expect(await two.datasets()).toEqual(["main"]);
});

test("closing settles what is under way: each call returns or fails, and what returned is there afterwards", async () => {
  const url = await place.volume("pending.hf");
  const volume = await openVolume(url);
  const dataset = await volume.dataset();
  const pending = Array.from({ length: 100 }, (_, index) => dataset.put(`key-${index}`, String(index)));
  const settled = Promise.allSettled(pending);

  await Promise.all([volume.close(), volume.close()]);
  const results = await settled;
  await expect(dataset.put("late", "value")).rejects.toMatchObject({ category: "usage" });

  await using again = await openVolume(url);
  const there = await again.dataset();
  const lost: number[] = [];
  for (const [index, { status }] of results.entries())
    if (status === "fulfilled" && (await text(there, `key-${index}`)) !== String(index)) lost.push(index);
  expect(lost).toEqual([]);
  expect(await text(there, "late")).toBeUndefined();
});

test("a wait can be cancelled, and leaves nothing behind", async () => {
  const url = place.path("votes.hf");
  await makeVolume(url, { sizeBytes: VOLUME_BYTES, votes: 2 });
  const giveUp = new AbortController();
  const opening = openVolume(url, { signal: giveUp.signal });

  giveUp.abort(new Error("enough"));

  await expect(opening).rejects.toMatchObject({
    code: "ERR_HOLDFAST_CANCELLED",
    cause: { message: "enough" },
  });
  const both = await Promise.all([openVolume(url), openVolume(url)]);
  const { members } = await both[0].status();
  expect(new Set(members.map(({ rid }) => rid))).toEqual(new Set(both.map(({ rid }) => rid)));
  await Promise.all(both.map((volume) => volume.close()));
});

test("a member that was evicted while it stood still is told by onLost, once; every call fails from then on", async () => {
  const url = await place.volume("lost.hf");
  const { rid: server } = await (await place.member(url, ["--name", "server"])).started;
  const lost: Error[] = [];
  const volume = await openVolume(url, { listen: false, onLost: (error) => lost.push(error) });
  const dataset = await volume.dataset();
  await dataset.put("key", "value");

  // This process does nothing else meanwhile, so it cannot tell the server that it lives.
  while (membersNow(url).length > 1);

  await expect(dataset.put("key", "late")).rejects.toMatchObject({ code: "ERR_HOLDFAST_EVICTED" });
  await expect(volume.close()).rejects.toMatchObject({ code: "ERR_HOLDFAST_EVICTED", category: "fenced" });
  expect(lost).toMatchObject([{ code: "ERR_HOLDFAST_EVICTED" }]);
  expect(membersNow(url)).toEqual([server]);
  expect(await place.succeed(["get", url, "key"])).toBe("value");
});

/** Asks the member of this host, and lets nothing else happen in this process until it answered. */
function membersNow(url: string): readonly string[] {
  const status: { readonly members: readonly { readonly rid: string }[] } = JSON.parse(
    place.runSync(["status", url, "--json"]),
  );
  return status.members.map(({ rid }) => rid);
}

test("an empty name is refused: nobody could tell that process from another in the status", async () => {
  const url = await place.volume("nameless.hf");

  await expect(openVolume(url, { name: "" })).rejects.toThrow(
    new RangeError("a name has 1 to 128 bytes: leave it away for host/process"),
  );
});
