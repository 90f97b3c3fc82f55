/*
 * A process that sends back what it gets: by sessions, or by bare frames.
 */
import { DEFAULT_SESSION_TIMING, startServerSessions } from "@holdfast/net-reliable";
import { type AddressInfo, createServer } from "node:net";
import { parentGone, say } from "../child.ts";
import { BareConnection } from "./bare-connection.ts";
import { IDENTITY, SESSION_PORTS } from "./session-setup.ts";

const [kind] = process.argv.slice(2);
if (kind === "session") await serveSessions();
else await serveBare();
await parentGone();
process.exit();

async function serveSessions(): Promise<void> {
  const sessions = await startServerSessions(
    {
      identity: IDENTITY,
      listenAddress: "tcp://127.0.0.1:0",
      term: 1n,
      timing: DEFAULT_SESSION_TIMING,
      admit: () => 0,
      handle: (_rid, _command, body, respond) => respond(0, body),
      onPeerUp: () => {},
      onPeerDown: () => {},
    },
    SESSION_PORTS,
  );
  say(sessions.address);
}

async function serveBare(): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = new BareConnection(socket, (body) => connection.send(body));
    // A client that leaves resets the connection; the next one comes by another.
    socket.on("error", () => connection.close());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  say(String(port));
}
