import { createInterface } from "node:readline";
import { startClientSession } from "@holdfast/net-reliable";
import { nodePorts } from "@holdfast/platform-node";

const identity = { key: Buffer.from(process.env.SESSION_KEY ?? "") };
const session = startClientSession({ identity, address: process.argv[2] }, nodePorts);
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await session.request(1, Buffer.from(line));
  console.log(Buffer.from(answer).toString());
}
session.close();
