import { expect, test } from "vitest";
import { type CrewMember, placeOnLoopback, until } from "../src/index.ts";
import { freshVolume, startCrew, without } from "./stage.ts";

/** Processes that start at once; each takes a good part of a second to load, on one processor. */
const CROWD = Number(process.env["HOLDFAST_CROWD"] ?? 20);

test("many members that start at once all join, and leave during elections without taking anything along", async () => {
  const url = await freshVolume();
  const crew = await startCrew(Array.from({ length: CROWD }, () => placeOnLoopback(url)));
  const server = await crew.server();
  const others = without(crew.members, server);
  const staying = others.slice(0, 3);
  await crew.load([...staying, ...others.slice(3, 6)]);

  // All but three leave, most of them while nobody serves.
  const leaving = others.slice(3).map((member) => member.close());
  await server.kill();
  const left = await Promise.allSettled(leaving);

  expect(left.filter(({ status }) => status === "rejected")).toEqual([]);
  await crew.goOn(staying);
  await crew.untilNotMember(server, staying[0] ?? server);
  for (const member of others.slice(3)) await crew.untilNotMember(member, staying[0] ?? member);
  expect(await crew.verdict()).toEqual([]);
});

test("a member that is killed in its farewell is a member no longer", async () => {
  const url = await freshVolume();
  const crew = await startCrew([1, 2, 3].map(() => placeOnLoopback(url)));
  const server = await crew.server();
  const [leaver = server, witness = server] = without(crew.members, server);
  await crew.load();

  const farewell = leaver.ask({ kind: "close" }).catch((error: Error) => error);
  server.freeze();
  await leaver.kill();
  await farewell;
  server.resume();

  await crew.untilNotMember(leaver, witness);
  await crew.server(crew.members.filter(({ lostCode }) => lostCode === undefined));
  expect(await crew.verdict(witness)).toEqual([]);
});

test("when all are killed at once, those who start again, in any order, go on without the one that never does", async () => {
  const url = await freshVolume();
  const crew = await startCrew([1, 2, 3, 4].map(() => placeOnLoopback(url)));
  await crew.server();
  await crew.load();
  const gone = crew.members;

  await Promise.all(gone.map((member) => member.kill()));
  const fresh = [2, 0, 1].map(() => crew.add(placeOnLoopback(url)));
  await Promise.all(fresh.map((member) => member.joined()));

  await crew.server();
  await crew.load();
  const [witness] = fresh;
  if (witness === undefined) throw new Error("three members were started");
  for (const member of gone) await crew.untilNotMember(member, witness);
  expect(await until("all of them are members", async () => await countMembers(witness, fresh))).toBe(3);
  expect(await crew.verdict()).toEqual([]);
});

async function countMembers(witness: CrewMember, among: readonly CrewMember[]): Promise<number | undefined> {
  const { members = [] } = await witness.ask({ kind: "members" });
  const count = among.filter(({ rid }) => members.includes(rid)).length;
  return count === among.length ? count : undefined;
}
