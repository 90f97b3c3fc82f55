import { type Cryptography, DeviceError, NO_BROKEN_RULES, SILENT_LOGGER } from "@holdfast/environment";
import { LockRequest, ReclaimRequest } from "@holdfast/lock-protocol";
import { type ClientSession, REFUSAL, type SessionPorts, startClientSession } from "@holdfast/net-reliable";
import { DeposedError } from "@holdfast/quorum";
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { DEFAULT_COMPACTOR_LIMITS, DEFAULT_MEMBER_TIMING } from "../../src/index.ts";
import {
  Command,
  EMPTY_BODY,
  FarewellRequest,
  JoinRequest,
  Refusal,
  StatusReply,
} from "../../src/protocol.ts";
import { ServerRole, ServerStoppedError } from "../../src/server/server-role.ts";
import { NO_PROCESS } from "../../src/volume/process-record.ts";
import { rangeOf } from "../locks/lock-wiring.ts";
import { MemoryNetwork } from "@holdfast/memory-ports";
import { ServerRig } from "../world/server-rig.ts";
import { ServerWorld } from "../world/server-world.ts";

const OWN = 1n;
const JOIN = JoinRequest.encode({ isVoter: false, address: "", name: "raw", process: NO_PROCESS });
const FAREWELL = FarewellRequest.encode({
  mayBeWritten: false,
  isServing: false,
  saidTerm: 1n,
  patienceMs: 1000,
});
const NO_LOCKS = ReclaimRequest.encode({ locks: [], isLast: true });

const cryptography: Cryptography = {
  hmacSha256: (key, message) => createHmac("sha256", key).update(message).digest(),
};

/** One who speaks to servers without being a member's program. */
class Peer {
  readonly session: ClientSession;
  readonly refused: number[] = [];
  readonly #stage: Stage;

  constructor(stage: Stage, rid: bigint) {
    const { fsid, formatHash, key } = stage.world.superBlock;
    this.#stage = stage;
    this.session = startClientSession(
      {
        identity: { fsid, formatHash, key },
        rid,
        isVoter: false,
        timing: DEFAULT_MEMBER_TIMING.session,
        findServer: () => Promise.resolve("memory:server"),
        handle: (_, __, ___, respond) => respond(0, EMPTY_BODY),
        onServer: () => Promise.resolve(),
        onHeard: () => {},
        onRefused: (code) => this.refused.push(code),
        onDisconnected: () => {},
      },
      stage.ports,
    );
  }

  /** The refusal of a request, 0 when it was answered, undefined when nothing came. */
  async ask(command: number, body: Uint8Array = EMPTY_BODY): Promise<number | undefined> {
    let outcome: number | undefined;
    this.session.call(command, body, (error) => {
      outcome = error;
    });
    await this.#stage.world.clock.advance(30);
    return outcome;
  }
}

/** A volume, a network, and the servers that come and go. */
class Stage {
  readonly world: ServerWorld;
  readonly network: MemoryNetwork;
  readonly ended: unknown[] = [];
  readonly ports: SessionPorts;

  constructor(world: ServerWorld) {
    this.world = world;
    this.network = new MemoryNetwork(world.clock);
    const { clock, random } = world;
    this.ports = { transport: this.network, clock, random, cryptography, log: SILENT_LOGGER };
  }

  static async make(): Promise<Stage> {
    return new Stage(await ServerWorld.format());
  }

  async serve(rid = OWN): Promise<ServerRole> {
    const { device, superBlock, layout } = this.world;
    const leadership = await this.world.elect(rid);
    return await ServerRole.start(
      {
        ...this.ports,
        log: SILENT_LOGGER,
        device,
        superBlock,
        layout,
        rid,
        listenAddress: "memory:server",
        timing: DEFAULT_MEMBER_TIMING,
        compactorLimits: DEFAULT_COMPACTOR_LIMITS,
        brokenRules: NO_BROKEN_RULES,
        name: "server",
        process: NO_PROCESS,
        processes: undefined,
        fenceAgent: undefined,
        onEnded: (error) => this.ended.push(error),
      },
      leadership,
    );
  }

  async peer(rid: bigint): Promise<Peer> {
    const peer = new Peer(this, rid);
    await this.world.clock.advance(30);
    return peer;
  }
}

async function statusOf(stage: Stage, peer: Peer): Promise<StatusReply> {
  const answer = peer.session.request(Command.status, EMPTY_BODY);
  await stage.world.clock.advance(30);
  return StatusReply.decode(await answer);
}

function broken(): DeviceError {
  const facts = { device: "memory:", offsetBytes: 0n, lengthBytes: 4096 };
  return new DeviceError("ERR_HOLDFAST_DEVICE_WRITE", "the device is broken", facts);
}

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
  await stage.world.clock.advance(DEFAULT_MEMBER_TIMING.session.forgetMs + 1000);
  expect(await (await stage.peer(6n)).ask(Command.status)).toBe(0);
});

test("F3: of members that join and leave at the same time nobody is forgotten, and nobody stays", async () => {
  const stage = await Stage.make();
  await stage.serve();
  const rids = [11n, 12n, 13n, 14n, 15n, 16n];
  const peers = await Promise.all(rids.map((rid) => stage.peer(rid)));
  const [leaving, joining] = [peers.slice(0, 3), peers.slice(3)];
  await Promise.all(leaving.map((peer) => peer.ask(Command.join, JOIN)));

  const farewells = leaving.map(({ session }) => session.farewell(FAREWELL));
  const joins = await Promise.all(joining.map((peer) => peer.ask(Command.join, JOIN)));
  await Promise.all(farewells);

  expect(joins).toEqual([0, 0, 0]);
  const { members } = await statusOf(stage, await stage.peer(5n));
  expect(members.map(({ rid }) => rid)).toEqual([14n, 15n, 16n]);
});

test("F12: a farewell is answered behind the commit that removes the record, and not at all if that fails", async () => {
  const stage = await Stage.make();
  await stage.serve();
  const leaver = await stage.peer(11n);
  await leaver.ask(Command.join, JOIN);
  const { device } = stage.world;
  const write = device.write.bind(device);
  const held: (() => void)[] = [];
  Object.assign(device, {
    write: async (...args: Parameters<typeof write>) => {
      await new Promise<void>((resolve) => held.push(resolve));
      await write(...args);
    },
  });
  let isAnswered = false;
  const farewell = leaver.session.farewell(FAREWELL).then(() => {
    isAnswered = true;
  });
  farewell.catch(() => {});

  await stage.world.clock.advance(100);
  expect(isAnswered).toBe(false);
  expect(held.length).toBeGreaterThan(0);
  Object.assign(device, { write: () => Promise.reject(broken()) });
  for (const release of held) release();
  await stage.world.clock.advance(1000);

  expect(isAnswered).toBe(false);
  expect(stage.ended).toHaveLength(1);
});

test("F4: a report of locks that is being confirmed while its member leaves brings no lock back", async () => {
  const stage = await Stage.make();
  const before = await ServerRig.start(stage.world, OWN);
  await before.join(11n);
  await stage.serve(2n);
  const [leaver, other] = [await stage.peer(11n), await stage.peer(5n)];
  await other.ask(Command.join, JOIN);
  const { start, end } = rangeOf(3);
  const locks = [{ start, end, mode: "write" as const, writeSeq: 1n << 40n }];

  // Both are on their way before either is answered; and a part of the report comes behind the farewell.
  const reports = [leaver.ask(Command.reclaim, ReclaimRequest.encode({ locks, isLast: false }))];
  const farewell = leaver.session.farewell(FAREWELL);
  reports.push(leaver.ask(Command.reclaim, ReclaimRequest.encode({ locks: [], isLast: true })));

  expect(await Promise.all(reports)).toEqual([0, Refusal.evicted]);
  await expect(farewell).resolves.toBeUndefined();
  const request = LockRequest.encode({ start, end, mode: "write", held: "null" });
  expect(await other.ask(Command.lock, request)).toBe(0);
});

test.each([
  { isServing: false, isQuarantined: false },
  { isServing: true, isQuarantined: true },
])(
  "the farewell of a server that was succeeded says nothing of its replays: %o",
  async ({ isServing, isQuarantined }) => {
    const stage = await Stage.make();
    await stage.serve();
    const [leaver, other] = [await stage.peer(11n), await stage.peer(5n)];
    await leaver.ask(Command.join, JOIN);

    const farewell = leaver.session.farewell(
      FarewellRequest.encode({ mayBeWritten: false, isServing, saidTerm: 2n, patienceMs: 0 }),
    );
    await stage.world.clock.advance(30);
    await farewell;

    expect((await statusOf(stage, other)).quarantinedBlocks > 0n).toBe(isQuarantined);
  },
);

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
