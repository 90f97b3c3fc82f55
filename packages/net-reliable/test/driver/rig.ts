import { utf8 } from "@holdfast/environment";
import { MemorySessionPorts } from "@holdfast/memory-ports";
import {
  type ClientSession,
  DEFAULT_SESSION_TIMING,
  type Respond,
  type ServerContact,
  type ServerSessions,
  type SessionIdentity,
  type SessionLimits,
  type SessionPorts,
  startClientSession,
  startServerSessions,
} from "../../src/index.ts";

export const timing = DEFAULT_SESSION_TIMING;
export const identity: SessionIdentity = { fsid: 7n, formatHash: 9n, key: new Uint8Array(32).fill(1) };
export function bytesOf(text: string): Uint8Array {
  return utf8.encode(text);
}

export function text(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

/** A world with one network, one clock and whatever members and servers a test puts in. */
export class World {
  readonly ports = new MemorySessionPorts();
  readonly clock = this.ports.clock;
  readonly network = this.ports.network;
  /** Where members look for the server. */
  serverAddress: string | undefined = undefined;

  portsWith(other: Partial<SessionPorts>): SessionPorts {
    const { transport, clock, random, cryptography } = this.ports;
    return { transport, clock, random, cryptography, ...other };
  }

  /** @param keepsExpired - It wants to be told of members that stay away; else they are forgotten. */
  async server(term: bigint, of: SessionIdentity = identity, keepsExpired = true): Promise<TestServer> {
    const server = new TestServer();
    server.sessions = await startServerSessions(
      {
        identity: of,
        listenAddress: `memory:${term}`,
        term,
        timing,
        admit: () => server.admission,
        handle: (rid, command, body, respond) => {
          server.asked.push(`${rid}/${command} ${text(body)}`);
          if (server.isEcho) respond(0, body);
          else server.owed.push(respond);
        },
        onPeerUp: (rid) => server.log.push(`up ${rid}`),
        onPeerDown: (rid) => server.log.push(`down ${rid}`),
        ...(keepsExpired ? { onPeerExpired: (rid: bigint) => server.log.push(`expired ${rid}`) } : {}),
      },
      this.ports,
    );
    this.serverAddress = server.sessions.address;
    return server;
  }

  client(rid = 5n, limits: Partial<SessionLimits> = {}): TestClient {
    const client = new TestClient();
    client.session = startClientSession(
      {
        identity,
        rid,
        isVoter: true,
        timing,
        limits,
        findServer: () => Promise.resolve(this.serverAddress),
        handle: (_, command, body, respond) => {
          client.log.push(`asked ${command} ${text(body)}`);
          respond(0, body);
        },
        onServer: (contact) => client.introduce(contact),
        onHeard: () => {
          client.heardAt = this.clock.now();
        },
        onRefused: (code) => client.log.push(`refused 0x${code.toString(16)}`),
        onDisconnected: () => client.log.push("disconnected"),
      },
      this.ports,
    );
    return client;
  }
}

export class TestServer {
  sessions!: ServerSessions;
  readonly asked: string[] = [];
  readonly owed: Respond[] = [];
  readonly log: string[] = [];
  admission = 0;
  isEcho = true;
}

export class TestClient {
  session!: ClientSession;
  readonly log: string[] = [];
  heardAt = -1;
  introduce = (contact: ServerContact): Promise<void> => {
    this.log.push(`met ${contact.term}${contact.isNew ? "" : " again"}`);
    return Promise.resolve();
  };

  ask(body: string): () => void {
    return this.session.call(1, bytesOf(body), (error, answer) =>
      this.log.push(`${body}→${error === 0 ? text(answer) : `0x${error.toString(16)}`}`),
    );
  }
}
