/*
 * The measured side: asks for an echo and is told when it came. Both kinds look the same to the load.
 */
import { DEFAULT_SESSION_TIMING, startClientSession } from "@holdfast/net-reliable";
import { connect } from "node:net";
import { startChild } from "../child.ts";
import { BareConnection } from "./bare-connection.ts";
import { ECHO_COMMAND, IDENTITY, SESSION_PORTS } from "./session-setup.ts";

/** A connection to an echo process. */
export interface EchoClient {
  /** Called for each echo; the load sets it before it sends. */
  replied: (body: Uint8Array) => void;
  send(body: Uint8Array): void;
  /** Ends the connection and the process. */
  stop(): Promise<void>;
}

/** A session, as members have them with their server. */
export async function startSessionEcho(): Promise<EchoClient> {
  const { child, greeting } = await startChild("messaging/echo-process.js", ["session"]);
  const session = startClientSession(
    {
      identity: IDENTITY,
      rid: 1n,
      isVoter: false,
      timing: DEFAULT_SESSION_TIMING,
      findServer: () => Promise.resolve(greeting),
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
    send: (body) => {
      session.call(ECHO_COMMAND, body, done);
    },
    stop: () => {
      session.close();
      return child.stop();
    },
  };
  await session.request(ECHO_COMMAND, new Uint8Array(1));
  return client;
}

/** Bare frames. */
export async function startBareEcho(): Promise<EchoClient> {
  const { child, greeting } = await startChild("messaging/echo-process.js", ["bare"]);
  const socket = connect({ host: "127.0.0.1", port: Number(greeting), noDelay: true });
  const connection = new BareConnection(socket, (body) => client.replied(body));
  const client: EchoClient = {
    replied: () => {},
    send: (body) => connection.send(body),
    stop: () => {
      connection.close();
      return child.stop();
    },
  };
  return client;
}

function fail(reason: string): never {
  throw new Error(reason);
}
