/*
 * Ours: a session, as members have them with their server.
 */
import { SILENT_LOGGER, type Transport } from "@holdfast/environment";
import {
  DEFAULT_SESSION_TIMING,
  type SessionIdentity,
  type SessionPorts,
  startClientSession,
  startServerSessions,
} from "@holdfast/net-reliable";
import { createNodeTransport, nodePorts } from "@holdfast/platform-node";
import { type Answer, type Contestant, type EchoClient, type Place, fail } from "./echo.ts";

/** A volume that does not exist: sessions need only its names. */
export const IDENTITY: SessionIdentity = { fsid: 7n, formatHash: 7n, key: new Uint8Array(32).fill(7) };

/** The command that is echoed. */
const ECHO_COMMAND = 1;

/** Sessions over TCP or a Unix socket, with their default times. */
export const SESSION_ECHO: Contestant = sessionEcho(nodePorts.transport);

/** The same, but each wait is slept through: none of those beside it watches short ones, either. */
export const SLEEPING_SESSION_ECHO: Contestant = sessionEcho(createNodeTransport({ pollMaxUs: 0 }));

function sessionEcho(transport: Transport): Contestant {
  const ports = { ...nodePorts, transport, log: SILENT_LOGGER };
  return {
    isCopying: true,
    serve: (place, answer) => serve(place, answer, ports),
    connect: (address) => connect(address, ports),
  };
}

async function serve(place: Place, answer: Answer, ports: SessionPorts): Promise<string> {
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
    ports,
  );
  return address;
}

async function connect(address: string, ports: SessionPorts): Promise<EchoClient> {
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
    ports,
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
