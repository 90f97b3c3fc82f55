import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { startClientSession } from "@holdfast/net-reliable";
import { nodePorts, pipeStream, Switchboard } from "@holdfast/platform-node";

const identity = { key: Buffer.from(process.env.SESSION_KEY ?? "") };
const transport = new Switchboard(async () => {
  const child = spawn(process.execPath, [process.argv[2]], { stdio: ["pipe", "pipe", "inherit"] });
  return pipeStream({ readable: child.stdout, writable: child.stdin, peer: `child ${child.pid}` });
});
const session = startClientSession({ identity, address: "stream:child" }, { ...nodePorts, transport });
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await session.request(1, Buffer.from(line));
  console.log(Buffer.from(answer).toString());
}
session.close();
