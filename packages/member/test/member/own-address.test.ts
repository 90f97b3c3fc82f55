/*
 * A server whose own member cannot dial it: its locks are not reported, and what its predecessors left cannot be replayed.
 */
import { TransportError } from "@holdfast/environment";
import { expect, test } from "vitest";
import { MemberWorld, type TestMember, textOf } from "../world/member-world.ts";

/** From here on this process does not reach that address; others do. */
function hide({ host: { transport } }: Pick<TestMember, "host">, address: string): void {
  const dial = transport.dial.bind(transport);
  const failed = new TransportError("ERR_HOLDFAST_DIAL", "no route", address);
  Object.assign(transport, { dial: (to: string) => (to === address ? Promise.reject(failed) : dial(to)) });
}

test("an opening fails, and names the address, where a server cannot dial itself and nobody else serves", async () => {
  const world = await MemberWorld.format();
  const { opening, host } = world.begin();
  hide({ host }, "memory:1");

  await expect(world.finish(opening)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_OWN_ADDRESS",
    facts: { address: "memory:1" },
  });

  expect(host.events).toContain("server.opened");
});

test("a server that cannot dial itself makes room for another one, and the locks of who died go on", async () => {
  const world = await MemberWorld.format();
  const first = await world.open();
  const hidden = await world.open();
  const sound = await world.open();
  const data = await first.member.dataset();
  await world.finish(data.put("k", "1"));
  hide(hidden, "memory:2");

  first.host.kill();
  const value = await world.finish((await sound.member.dataset()).get("k"));

  expect(textOf(value)).toBe("1");
  expect(hidden.host.lines).toContainEqual({
    level: "error",
    facts: expect.objectContaining({
      event: "server.ended",
      err: expect.objectContaining({
        code: "ERR_HOLDFAST_OWN_ADDRESS",
        message: expect.stringContaining("did not reach it at memory:2"),
      }),
    }),
  });
  expect(sound.host.events).toContain("server.opened");
  expect(hidden.losses).toEqual([]);
});
