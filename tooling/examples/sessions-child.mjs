import { startServerSessions } from "@holdfast/net-reliable";
import { nodePorts, pipeStream, Switchboard } from "@holdfast/platform-node";

const identity = { key: Buffer.from(process.env.SESSION_KEY ?? "") };
const handle = (member, command, body, respond) => {
  respond(0, Buffer.from(`process ${process.pid} heard ${Buffer.from(body).toString()}`));
};
const transport = new Switchboard();
await startServerSessions({ identity, listenAddress: "stream:child", handle }, { ...nodePorts, transport });
const ends = { readable: process.stdin, writable: process.stdout, peer: "the parent" };
transport.offer("stream:child", pipeStream(ends));
process.stdin.once("close", () => process.exit());
