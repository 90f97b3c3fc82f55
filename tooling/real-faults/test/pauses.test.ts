import { expect, test } from "vitest";
import { placeOnLoopback, sharedNow, until } from "../src/index.ts";
import { freshVolume, startCrew, without } from "./stage.ts";

test("a server that stands still with writes queued is replaced, and when it goes on it has lost nothing and says that it is out", async () => {
  const url = await freshVolume();
  const crew = await startCrew([1, 2, 3].map(() => placeOnLoopback(url)));
  const old = await crew.server();
  const others = without(crew.members, old);
  await crew.load();

  old.freeze();
  await crew.server(others);
  await crew.goOn(others);
  const [witness = old] = others;
  await crew.untilNotMember(old, witness);
  old.resume();

  await until("it says that it was evicted", () => old.lostCode);
  expect(old.lostCode).toBe("ERR_HOLDFAST_EVICTED");
  await crew.goOn(others);
  expect(old.isAlive).toBe(true);
  expect(await crew.verdict()).toEqual([]);
});

test("a server whose event loop is blocked while its writes are under way is replaced, and when it goes on it has lost nothing and says that it is out", async () => {
  const url = await freshVolume();
  const crew = await startCrew([1, 2, 3].map(() => placeOnLoopback(url)));
  const old = await crew.server();
  const others = without(crew.members, old);
  const [witness = old] = others;
  await crew.load();

  const block = old.block();
  await crew.server(others);
  const replacedMs = sharedNow();
  await crew.goOn(others);
  await crew.untilNotMember(old, witness);
  old.unblock();

  const { fromMs, toMs, underWay } = await block;
  expect(underWay).toBeGreaterThan(0);
  expect([fromMs, replacedMs, toMs].toSorted((a, b) => a - b)).toEqual([fromMs, replacedMs, toMs]);
  await until("it says that it was evicted", () => old.lostCode);
  expect(old.lostCode).toBe("ERR_HOLDFAST_EVICTED");
  await crew.goOn(others);
  expect(old.hasWrittenSince(toMs, "")).toBe(false);
  expect(old.isAlive).toBe(true);
  expect(await crew.verdict()).toEqual([]);
});

test("a member that stands still while it holds a lock for writing is evicted, and reads and writes nothing when it goes on", async () => {
  const url = await freshVolume();
  const crew = await startCrew([1, 2, 3].map(() => placeOnLoopback(url)));
  const server = await crew.server();
  const [holder, other] = without(crew.members, server);
  if (holder === undefined || other === undefined) throw new Error("three members were started");
  await crew.load();
  await holder.ask({ kind: "put", key: "held", value: 1 });

  holder.freeze();
  await other.ask({ kind: "put", key: "held", value: 2 });
  await crew.untilNotMember(holder, other);
  const outcomes = Promise.allSettled([
    holder.ask({ kind: "put", key: "held", value: 3 }),
    holder.ask({ kind: "read", key: "held" }),
  ]);
  holder.resume();

  const refusal = { status: "rejected", reason: new Error("ERR_HOLDFAST_EVICTED") };
  expect(await outcomes).toEqual([refusal, refusal]);
  await crew.goOn([server, other]);
  expect(await crew.verdict(other)).toEqual([]);
});

test("a member that stands still for a moment goes on as if nothing had been", async () => {
  const url = await freshVolume();
  const crew = await startCrew([1, 2].map(() => placeOnLoopback(url)));
  const server = await crew.server();
  const [other = server] = without(crew.members, server);
  await crew.load();

  other.freeze();
  other.resume();

  await crew.goOn(crew.members);
  expect(await crew.verdict()).toEqual([]);
});
