import { createReadStream } from "node:fs";
import { startServerSessions } from "@holdfast/net-reliable";
import { nodePorts } from "@holdfast/platform-node";

const identity = { key: Buffer.from(process.env.SESSION_KEY ?? "") };
const handleStream = async ({ body }) => ({ body, stream: createReadStream(Buffer.from(body).toString()) });
await startServerSessions({ identity, listenAddress: process.argv[2], handleStream }, nodePorts);
