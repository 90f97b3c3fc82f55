/*
 * The other side of the streams suite: sends what is ordered, by streams and by bare pipes.
 */
import { crc32 } from "node:zlib";
import { startServerSessions, streamBuffer } from "@holdfast/net-reliable";
import { parentGone, say } from "../child.ts";
import { processorUs } from "../processor-time.ts";
import { ChunkStock, chunkStock, passBy, serveBarePipe } from "./bare-pipe.ts";
import { COMMAND_TAKE, bulkIdentity, bulkPorts, orderOf } from "./bulk-ports.ts";

const stockInPlace = new ChunkStock(streamBuffer);

const sessions = await startServerSessions(
  {
    identity: bulkIdentity,
    listenAddress: "tcp://127.0.0.1:0",
    handleStream: async ({ command, body, stream }) => {
      if (command === COMMAND_TAKE) {
        let bytes = 0;
        for await (const piece of stream) bytes += piece.length;
        return { body: new Uint8Array(Float64Array.of(bytes).buffer) };
      }
      const { totalBytes, chunkBytes, isSummed, isInPlace } = orderOf(body);
      const pieces = (isInPlace ? stockInPlace : chunkStock).take(totalBytes, chunkBytes);
      return { body, stream: fromSync(pieces), isSummed };
    },
  },
  bulkPorts,
);
const bare = await serveBarePipe(passBy);
const summed = await serveBarePipe(crc32);
say(JSON.stringify({ streams: sessions.address, bare: bare.port, summed: summed.port }));
process.on("message", () => say(String(processorUs())));
await parentGone();
bare.server.close();
summed.server.close();
await sessions.close();

/** A sync generator as an async one that costs no more than its promises. */
function fromSync(pieces: Generator<Uint8Array>): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.resolve(pieces.next()),
      return: () => Promise.resolve(pieces.return(undefined)),
    }),
  };
}
