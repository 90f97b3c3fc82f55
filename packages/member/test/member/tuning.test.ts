/*
 * The number of votes is changed once, whatever becomes of the server that was asked.
 */
import { expect, test } from "vitest";
import { TuneOperation } from "../../src/protocol.ts";
import { MemberWorld } from "../world/member-world.ts";
import { ServerRig } from "../world/server-rig.ts";
import { ServerWorld } from "../world/server-world.ts";

const A = 11n;
const B = 12n;

function tune(operation: bigint, votes: number): Uint8Array {
  return TuneOperation.encode({ operation, seen: 0n, votes, isForced: false });
}

const fiveVoters = (): Promise<number> => Promise.resolve(5);

test("votes that one server changed, and another member changed again, are not changed back when the answer was lost", async () => {
  const world = await ServerWorld.format();
  const first = await ServerRig.start(world, 1n);
  await first.join(A);
  await first.join(B);
  await first.requests.tune(A, tune(1n, 3), fiveVoters);
  const next = await ServerRig.start(world, 2n);
  await next.requests.tune(B, tune(1n, 2), fiveVoters);

  await next.requests.tune(A, tune(1n, 3), fiveVoters);

  expect(next.server.committer.committed.votes).toBe(2);
  expect(next.events).toContain("operation.repeated");
  expect(next.events.filter((event) => event === "votes.changed")).toHaveLength(1);
});

test("a change that was made is not refused afterwards, since voters have left meanwhile", async () => {
  const world = await ServerWorld.format();
  const first = await ServerRig.start(world, 1n);
  await first.join(A);
  await first.requests.tune(A, tune(1n, 3), fiveVoters);
  const next = await ServerRig.start(world, 2n);

  expect(await next.requests.tune(A, tune(1n, 3), () => Promise.resolve(1))).toEqual(new Uint8Array(0));
});

test("a server that dies between the change of votes and its answer leaves that to the next one", async () => {
  const world = await MemberWorld.format();
  const [server, second] = [await world.open(), await world.open()];
  server.host.onLog = ({ facts }) => {
    if (facts.event === "votes.changed") server.host.kill();
  };

  await world.finish(second.member.tune({ votes: 1, isForced: false }));

  expect(server.host.isDead).toBe(true);
  expect(second.host.events).toContain("operation.repeated");
});
