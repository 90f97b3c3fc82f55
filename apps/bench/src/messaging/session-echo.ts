/*
 * Ours: a session, as members have them with their server.
 */
import { SILENT_LOGGER } from "@holdfast/environment";
import {
  DEFAULT_SESSION_TIMING,
  type SessionIdentity,
  type SessionPorts,
  startClientSession,
  startServerSessions,
} from "@holdfast/net-reliable";
import { nodePorts } from "@holdfast/platform-node";
import { type Answer, type Contestant, type EchoClient, type Place, fail } from "./echo.ts";

/** A volume that does not exist: sessions need only its names. */
export const IDENTITY: SessionIdentity = { fsid: 7n, formatHash: 7n, key: new Uint8Array(32).fill(7) };

/** The drivers that a member has, too. */
const SESSION_PORTS: SessionPorts = { ...nodePorts, log: SILENT_LOGGER };

/** The command that is echoed. */
const ECHO_COMMAND = 1;

/** Sessions over TCP or a Unix socket, with their default times. */
export const SESSION_ECHO: Contestant = { isCopying: true, serve, connect };

async function serve(place: Place, answer: Answer): Promise<string> {
  const { address } = await startServerSessions(
    {
      identity: IDENTITY,
      listenAddress: place.kind === "tcp" ? "tcp://127.0.0.1:0" : `unix:${place.path}`,
      term: 1n,
      timing: DEFAULT_SESSION_TIMING,
      admit: () => 0,
      handle: (_rid, _command, body, respond) => respond(0, answer(body)),
      onPeerUp: () => {},
      onPeerDown: () => {},
    },
    SESSION_PORTS,
  );
  return address;
}

async function connect(address: string): Promise<EchoClient> {
  const session = startClientSession(
    {
      identity: IDENTITY,
      rid: nodePorts.random.u64(),
      isVoter: false,
      timing: DEFAULT_SESSION_TIMING,
      findServer: () => Promise.resolve(address),
      handle: (_rid, _command, _body, respond) => respond(1, new Uint8Array(0)),
      onServer: () => Promise.resolve(),
      onHeard: () => {},
      onRefused: (code) => fail(`the session was refused: ${code}`),
      onDisconnected: () => {},
    },
    SESSION_PORTS,
  );
  const done = (error: number, body: Uint8Array): void => {
    if (error === 0) client.replied(body);
    else fail(`an echo failed: ${error}`);
  };
  const client: EchoClient = {
    replied: () => {},
    broken: () => {},
    send: (body) => {
      session.call(ECHO_COMMAND, body, done);
    },
    close: () => session.close(),
  };
  return client;
}
