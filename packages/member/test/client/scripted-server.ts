import { LockGrant, LockRequest } from "@holdfast/lock-protocol";
import { MemorySessionPorts } from "@holdfast/memory-ports";
import {
  type Respond,
  type ServerSessions,
  type SessionIdentity,
  startServerSessions,
} from "@holdfast/net-reliable";
import { DEFAULT_MEMBER_TIMING } from "../../src/index.ts";
import { Command, EMPTY_BODY, JoinReply, Membership } from "../../src/protocol.ts";

export const JOURNAL = [
  { start: 100n, lengthBlocks: 256 },
  { start: 400n, lengthBlocks: 256 },
];

/** A server that answers what a test tells it to. */
export const identity: SessionIdentity = { fsid: 7n, formatHash: 9n, key: new Uint8Array(32).fill(1) };

export class World {
  readonly ports = new MemorySessionPorts();
  readonly clock = this.ports.clock;
  readonly network = this.ports.network;
  serverAddress: string | undefined = undefined;
  /** What the volume says of the member. */
  isForgotten = false;
}

export class Server {
  sessions!: ServerSessions;
  readonly term: bigint;
  /** Commands in the order they came. */
  readonly asked: number[] = [];
  readonly bodies: Uint8Array[] = [];
  /** Refusal by command; 0 leaves the command unanswered. */
  readonly refusals: Map<number, number> = new Map();
  evictGeneration = 0n;

  constructor(term: bigint) {
    this.term = term;
  }

  static async start(world: World, term: bigint): Promise<Server> {
    const server = new Server(term);
    server.sessions = await startServerSessions(
      {
        identity,
        listenAddress: `memory:${term}`,
        term,
        timing: DEFAULT_MEMBER_TIMING.session,
        admit: () => 0,
        handle: (_, command, body, respond) => server.#handle(command, body.slice(), respond),
        onPeerUp: () => {},
        onPeerDown: () => {},
      },
      world.ports,
    );
    world.serverAddress = server.sessions.address;
    return server;
  }

  #handle(command: number, body: Uint8Array, respond: Respond): void {
    if (command !== Command.renew) {
      this.asked.push(command);
      this.bodies.push(body);
    }
    const refusal = this.refusals.get(command);
    if (refusal === 0) return;
    if (refusal === undefined) respond(0, this.#answer(command, body));
    else respond(refusal, EMPTY_BODY);
  }

  #answer(command: number, body: Uint8Array): Uint8Array {
    const { evictGeneration, term } = this;
    if (command === Command.join)
      return JoinReply.encode({ number: 3, journal: JOURNAL, evictGeneration, votes: 1 });
    if (command === Command.reclaim || command === Command.confirm)
      return Membership.encode({ evictGeneration, votes: 1 });
    if (command !== Command.lock) return body;
    const { start, mode } = LockRequest.decode(body);
    return LockGrant.encode({ start, mode, writeSeq: term << 40n, term, manifestVersion: 0n });
  }
}
