import { startServerSessions } from "@holdfast/net-reliable";
import { nodePorts } from "@holdfast/platform-node";

const identity = { key: Buffer.from(process.env.SESSION_KEY ?? "") };
const handle = (member, command, body, respond) => {
  respond(0, Buffer.from(`process ${process.pid} heard ${Buffer.from(body).toString()}`));
};
await startServerSessions({ identity, listenAddress: process.argv[2], handle }, nodePorts);
