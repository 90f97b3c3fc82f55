import { startClientSession } from "@holdfast/net-reliable";
import { nodePorts } from "@holdfast/platform-node";

const identity = { key: Buffer.from(process.env.SESSION_KEY ?? "") };
const session = startClientSession({ identity, address: process.argv[2] }, nodePorts);
const { stream } = await session.requestStream(1, Buffer.from(process.argv[3]));
for await (const piece of stream) process.stdout.write(Buffer.from(piece));
session.close();
