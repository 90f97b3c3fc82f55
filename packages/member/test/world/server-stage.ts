/*
 * Servers over a volume in memory, and peers that speak to them in frames of their own.
 */
import { type Cryptography, NO_BROKEN_RULES, SILENT_LOGGER } from "@holdfast/environment";
import { ReclaimRequest } from "@holdfast/lock-protocol";
import {
  type ClientSession,
  type RequestHandler,
  type SessionPorts,
  startClientSession,
} from "@holdfast/net-reliable";
import { createHmac } from "node:crypto";
import { DEFAULT_COMPACTOR_LIMITS, DEFAULT_MEMBER_TIMING } from "../../src/index.ts";
import { Command, EMPTY_BODY, FarewellRequest, JoinRequest, StatusReply } from "../../src/protocol.ts";
import { ServerRole } from "../../src/server/server-role.ts";
import { NO_PROCESS } from "../../src/volume/process-record.ts";
import { MemoryNetwork } from "@holdfast/memory-ports";
import { ServerWorld } from "./server-world.ts";

/** The server's own member. */
export const OWN = 1n;
/** What a stranger asks to become a member. */
export const JOIN = JoinRequest.encode({ isVoter: false, address: "", name: "raw", process: NO_PROCESS });
/** What a member says that has ended all its writes. */
export const FAREWELL = FarewellRequest.encode({
  mayBeWritten: false,
  isServing: false,
  saidTerm: 1n,
  patienceMs: 1000,
});
/** A report of no locks. */
export const NO_LOCKS = ReclaimRequest.encode({ locks: [], isLast: true });

const cryptography: Cryptography = {
  hmacSha256: (key, message) => createHmac("sha256", key).update(message).digest(),
};

/** One who speaks to servers without being a member's program. */
export class Peer {
  readonly session: ClientSession;
  readonly refused: number[] = [];
  readonly #stage: Stage;

  constructor(stage: Stage, rid: bigint, handle: RequestHandler) {
    const { fsid, formatHash, key } = stage.world.superBlock;
    this.#stage = stage;
    this.session = startClientSession(
      {
        identity: { fsid, formatHash, key },
        rid,
        isVoter: false,
        timing: DEFAULT_MEMBER_TIMING.session,
        findServer: () => Promise.resolve("memory:server"),
        handle,
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
export class Stage {
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
        formerQuiet: () => Promise.resolve(),
        onEnded: (error) => this.ended.push(error),
      },
      leadership,
    );
  }

  async peer(
    rid: bigint,
    handle: RequestHandler = (_, __, ___, respond) => respond(0, EMPTY_BODY),
  ): Promise<Peer> {
    const peer = new Peer(this, rid, handle);
    await this.world.clock.advance(30);
    return peer;
  }
}

/** What the server says of the volume. */
export async function statusOf(stage: Stage, peer: Peer): Promise<StatusReply> {
  const answer = peer.session.request(Command.status, EMPTY_BODY);
  await stage.world.clock.advance(30);
  return StatusReply.decode(await answer);
}
