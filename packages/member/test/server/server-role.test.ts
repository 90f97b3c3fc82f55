import { LockRequest } from "@holdfast/lock-protocol";
import { REFUSAL } from "@holdfast/net-reliable";
import { DeposedError } from "@holdfast/quorum";
import { expect, test } from "vitest";
import { DEFAULT_MEMBER_TIMING } from "../../src/index.ts";
import { Command, EMPTY_BODY, Refusal, StatusReply } from "../../src/protocol.ts";
import { ServerRole, ServerStoppedError } from "../../src/server/server-role.ts";
import { rangeOf } from "../locks/lock-wiring.ts";
import { ServerRig } from "../world/server-rig.ts";
import { FAREWELL, JOIN, NO_LOCKS, OWN, Stage, statusOf } from "../world/server-stage.ts";
test("a server that nobody talks to notices its successor", async () => {
  const stage = await Stage.make();
  const role = await stage.serve();
  await stage.world.elect(2n);

  await stage.world.clock.advance(DEFAULT_MEMBER_TIMING.watchMs + 1);

  expect(stage.ended).toHaveLength(1);
  expect(stage.ended[0]).toBeInstanceOf(DeposedError);
  expect(role.isEnded).toBe(true);
  expect(stage.world.clock.timersCount).toBe(0);
});

test("a server that is stopped in the middle of a check leaves no timer behind", async () => {
  const stage = await Stage.make();
  const role = await stage.serve();
  await stage.world.clock.advance(100);
  stage.world.device.onRead = () => {
    stage.world.device.onRead = () => {};
    void role.stop();
  };

  await stage.world.clock.advance(1000);

  expect(stage.world.clock.timersCount).toBe(0);
  expect(stage.ended).toEqual([]);
});

test("a server that cannot listen does not start, and makes no record", async () => {
  const stage = await Stage.make();
  await stage.network.listen("memory:server", (stream) => stream.destroy());
  const { writeCount } = stage.world.device;

  await expect(stage.serve()).rejects.toMatchObject({ code: "ERR_HOLDFAST_ADDRESS_IN_USE" });

  expect(stage.world.clock.timersCount).toBe(0);
  // The splitter's two writes alone.
  expect(stage.world.device.writeCount - writeCount).toBe(2);
});

test.each([
  ["its opening record", (stage: Stage) => refuse(stage, stage.world.layout.quorum.recordsBlock + 2n)],
  ["the copy of it", (stage: Stage) => refuse(stage, stage.world.layout.quorum.recordsCopyBlock + 2n)],
])(
  "a server whose device refuses %s does not start, hangs up, and leaves nothing behind",
  async (_, break_) => {
    const stage = await Stage.make();
    break_(stage);

    await expect(stage.serve()).rejects.toMatchObject({ code: "ERR_HOLDFAST_RECORD_WRITE" });

    expect(stage.world.clock.timersCount).toBe(0);
    await expect(stage.network.dial("memory:server")).rejects.toMatchObject({ code: "ERR_HOLDFAST_DIAL" });
    stage.world.device.onWrite = () => {};
    await expect(stage.serve(2n)).resolves.toBeInstanceOf(ServerRole);
  },
);

test("a server that cannot read the members does not start, hangs up, and leaves nothing behind", async () => {
  const stage = await Stage.make();
  const first = await stage.serve();
  const peer = await stage.peer(5n);
  await peer.ask(Command.join, JOIN);
  peer.session.close();
  await first.stop();
  const data = stage.world.layout.dataBlock;
  stage.world.device.onRead = (block) => {
    if (block >= data && block < stage.world.layout.quorum.recordsCopyBlock) throw new Error("bad sector");
  };

  await expect(stage.serve(2n)).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_READ" });
  await stage.world.clock.advance(10);

  expect(stage.world.clock.timersCount).toBe(0);
  await expect(stage.network.dial("memory:server")).rejects.toMatchObject({ code: "ERR_HOLDFAST_DIAL" });
});

test("who is no member may ask for the status, and for nothing else", async () => {
  const stage = await Stage.make();
  await stage.serve();
  const peer = await stage.peer(5n);

  expect(await peer.ask(Command.status)).toBe(0);
  for (const command of [Command.manifest, Command.renew, Command.takeExtent, Command.lock, 999])
    expect(await peer.ask(command)).toBe(Refusal.evicted);
});

test("a report that is repeated after it was counted changes nothing, and costs nobody his membership", async () => {
  const stage = await Stage.make();
  const first = await stage.serve();
  const joining = await stage.peer(5n);
  await joining.ask(Command.join, JOIN);
  joining.session.close();
  await first.stop();
  await stage.serve(2n);
  await stage.peer(2n);
  const peer = await stage.peer(5n);

  expect(await peer.ask(Command.reclaim, NO_LOCKS)).toBe(0);
  expect(await peer.ask(Command.reclaim, NO_LOCKS)).toBe(0);

  expect(await peer.ask(Command.renew)).toBe(0);
  await stage.world.clock.advance(5000);
  expect(await peer.ask(Command.renew)).toBe(0);
});

test("whoever reports without having joined is no member", async () => {
  const stage = await Stage.make();
  await stage.serve();
  const peer = await stage.peer(5n);

  expect(await peer.ask(Command.reclaim, NO_LOCKS)).toBe(Refusal.evicted);
});

test("a member that breaks the lock protocol is out at once, cannot join again, and is evicted in its time", async () => {
  const stage = await Stage.make();
  await stage.serve();
  const [own, bad] = [await stage.peer(OWN), await stage.peer(5n)];
  await own.ask(Command.join, JOIN);
  await bad.ask(Command.join, JOIN);
  const { start, end } = rangeOf(3);
  const request = LockRequest.encode({ start, end, mode: "write", held: "null" });
  expect(await bad.ask(Command.lock, request)).toBe(0);

  expect(await bad.ask(Command.lock, new Uint8Array([1, 2, 3]))).not.toBe(0);

  for (let again = 0; again < 5; again += 1) {
    expect(await bad.ask(Command.join, JOIN)).toBe(Refusal.evicted);
    expect(await bad.ask(Command.reclaim, NO_LOCKS)).toBe(Refusal.evicted);
    expect(await bad.ask(Command.renew)).toBe(Refusal.evicted);
    await stage.world.clock.advance(200);
  }
  await stage.world.clock.advance(1000);
  expect((await statusOf(stage, own)).members.map(({ rid }) => rid)).toEqual([OWN]);
  expect(bad.refused).toEqual([REFUSAL.EVICTED]);
  expect(await own.ask(Command.lock, request)).toBe(0);
});

test("a session is forgotten after its member's farewell, and that of a stranger after some time", async () => {
  const stage = await Stage.make();
  await stage.serve();
  const [member, stranger] = [await stage.peer(5n), await stage.peer(6n)];
  await member.ask(Command.join, JOIN);
  await stranger.ask(Command.status);
  const farewell = member.session.farewell(FAREWELL);
  await stage.world.clock.advance(30);
  await farewell;
  member.session.close();
  stranger.session.close();

  // A session that is remembered does not take somebody in who has forgotten it.
  expect(await (await stage.peer(5n)).ask(Command.status)).toBe(0);
  expect((await stage.peer(6n)).refused).toEqual([REFUSAL.BAD_GREETING]);
  await stage.peer(OWN);
  await stage.world.clock.advance(DEFAULT_MEMBER_TIMING.session.forgetMs + 1000);
  expect(await (await stage.peer(6n)).ask(Command.status)).toBe(0);
});

test("a device that fails under a request ends the reign: nobody is told a lie, and the next server is asked", async () => {
  const stage = await Stage.make();
  const before = await ServerRig.start(stage.world, OWN);
  await before.join(11n);
  await before.record(11n, [await before.write(11n, ["a"])]);
  const role = await stage.serve(2n);
  const peer = await stage.peer(5n);
  const { layout } = stage.world;
  stage.world.device.onRead = (block) => {
    if (block >= layout.dataBlock && block < layout.quorum.recordsCopyBlock) throw new Error("bad path");
  };
  const status = peer.session.request(Command.status, EMPTY_BODY);
  await stage.world.clock.advance(100);
  expect([role.isEnded, stage.ended]).toMatchObject([true, [{ code: "ERR_HOLDFAST_DEVICE_READ" }]]);

  stage.world.device.onRead = () => {};
  const next = await stage.serve(3n);
  await stage.world.clock.advance(1000);

  const { levels, term } = StatusReply.decode(await status);
  expect([levels, term]).toEqual([[1], next.term]);
});

test("a server that resigns records that it has left, and hangs up", async () => {
  const stage = await Stage.make();
  const role = await stage.serve();
  const peer = await stage.peer(5n);
  await peer.ask(Command.join, JOIN);

  await role.resign();
  await role.resign();
  await role.stop();

  expect([role.isEnded, stage.ended]).toEqual([true, []]);
  expect(new ServerStoppedError(role.term).category).toBe("retry");
  const next = await stage.world.elect(2n);
  expect(next.adopted.address).toBe("");
});

/** The device refuses to write a block. */
function refuse({ world }: Stage, bad: bigint): void {
  world.device.onWrite = ({ block }) => {
    if (block === bad) throw new Error("bad sector");
  };
}
