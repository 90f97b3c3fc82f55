import { LockRequest } from "@holdfast/lock-protocol";
import { expect, test } from "vitest";
import { DEFAULT_MEMBER_TIMING } from "../../src/index.ts";
import { Command } from "../../src/protocol.ts";
import { rangeOf } from "../locks/lock-wiring.ts";
import { JOIN, NO_LOCKS, Stage } from "../world/server-stage.ts";

const FORMER = 1n;
const NEXT = 2n;

test("a former server's member that connects, and is gone again before it reports, is not waited for until the recovery's deadline", async () => {
  const stage = await Stage.make();
  const first = await stage.serve(FORMER);
  const [former, next] = [await stage.peer(FORMER), await stage.peer(NEXT)];
  for (const peer of [former, next]) expect(await peer.ask(Command.join, JOIN)).toBe(0);
  await first.stop();
  await stage.serve(NEXT);
  await stage.world.clock.advance(50);
  expect(await next.ask(Command.reclaim, NO_LOCKS)).toBe(0);
  const { start, end } = rangeOf(3);
  const granted: number[] = [];
  next.session.call(Command.lock, LockRequest.encode({ start, end, mode: "write", held: "null" }), (error) =>
    granted.push(error),
  );
  // Its short lease is over, and it is connected still: it may be about to report.
  await stage.world.clock.advance(2 * DEFAULT_MEMBER_TIMING.ownLeaseMs);
  expect(granted).toEqual([]);

  former.session.close();
  await stage.world.clock.advance(50);

  expect(granted).toEqual([0]);
});
