/*
 * Bulk between two processes: a stream beside a bare socket pipe, and beside one whose two ends sum up the same bytes,
 * which is what it costs to know that they are the same.
 */
import { type ClientStreams, startClientStreams } from "@holdfast/net-reliable";
import { nodeCrc32 } from "@holdfast/platform-node";
import { startChild } from "../child.ts";
import { measureRow, type Row } from "../contest.ts";
import type { StreamsSizes } from "../sizes.ts";
import { chunks, passBy, receiveBarePipe } from "./bare-pipe.ts";
import { COMMAND_ORDER, COMMAND_TAKE, bulkIdentity, bulkPorts } from "./bulk-ports.ts";

const KIB = 1024;

/** Chunk lengths, and what is aimed at. */
const CHUNKS: readonly { readonly bytes: number; readonly title: string; readonly goal?: number }[] = [
  { bytes: 64 * KIB, title: "64 KiB" },
  { bytes: 256 * KIB, title: "256 KiB", goal: 0.9 },
  { bytes: 1024 * KIB, title: "1 MiB", goal: 0.9 },
];

/** Measures the streams rows. */
export async function measureStreams({ totalBytes, rounds }: StreamsSizes): Promise<readonly Row[]> {
  const { child, greeting } = await startChild("streams/sender-process.js", []);
  const { streams: address, bare, summed } = JSON.parse(greeting) as Addresses;
  const streams = startClientStreams(
    {
      identity: bulkIdentity,
      session: { rid: 1n, term: 1n },
      findServer: () => Promise.resolve(address),
    },
    bulkPorts,
  );
  try {
    const rows: Row[] = [];
    const barePipe = (bytes: number): Promise<number> =>
      rate(totalBytes, () => receiveBarePipe(bare, totalBytes, bytes, passBy));
    for (const { bytes, title, goal } of CHUNKS) {
      const goals = goal === undefined ? {} : { "bare pipe": goal };
      const common = { unit: "MB/s", isLowerBetter: false, runs: rounds } as const;
      rows.push(
        await measureRow({
          ...common,
          row: `${title}, without checksum`,
          ours: () =>
            rate(totalBytes, () => receive(streams, { totalBytes, chunkBytes: bytes, isSummed: false })),
          peers: { "bare pipe": () => barePipe(bytes) },
          goals,
        }),
        await measureRow({
          ...common,
          row: `${title}, with checksum`,
          ours: () =>
            rate(totalBytes, () => receive(streams, { totalBytes, chunkBytes: bytes, isSummed: true })),
          peers: {
            "bare pipe": () => barePipe(bytes),
            "bare pipe, CRC-32": () =>
              rate(totalBytes, () => receiveBarePipe(summed, totalBytes, bytes, nodeCrc32)),
          },
          goals,
        }),
      );
    }
    rows.push(await measurePush(streams, totalBytes, rounds));
    return rows;
  } finally {
    streams.close();
    await child.stop();
  }
}

interface Addresses {
  readonly streams: string;
  readonly bare: number;
  readonly summed: number;
}

/** Towards the side that listens, which Node.js gives new memory with each read. */
function measurePush(streams: ClientStreams, totalBytes: number, runs: number): Promise<Row> {
  return measureRow({
    row: "256 KiB, with checksum, sent with a request",
    unit: "MB/s",
    isLowerBetter: false,
    runs,
    ours: () =>
      rate(totalBytes, async () => {
        const source = async function* (): AsyncGenerator<Uint8Array> {
          yield* chunks(totalBytes, 256 * KIB);
        };
        const { body, stream } = await streams.request(COMMAND_TAKE, new Uint8Array(0), { source: source() });
        await stream.return?.();
        expectBytes(new DataView(body.buffer, body.byteOffset).getFloat64(0, true), totalBytes);
      }),
    peers: {},
  });
}

interface Order {
  readonly totalBytes: number;
  readonly chunkBytes: number;
  readonly isSummed: boolean;
}

async function receive(streams: ClientStreams, { totalBytes, chunkBytes, isSummed }: Order): Promise<void> {
  const order = new Uint8Array(Float64Array.of(totalBytes, chunkBytes, isSummed ? 1 : 0).buffer);
  const { stream } = await streams.request(COMMAND_ORDER, order);
  let bytes = 0;
  for await (const piece of stream) bytes += piece.length;
  expectBytes(bytes, totalBytes);
}

function expectBytes(bytes: number, totalBytes: number): void {
  if (bytes !== totalBytes) throw new Error(`${bytes} of ${totalBytes} bytes came`);
}

async function rate(totalBytes: number, work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return totalBytes / 1000 / (performance.now() - startMs);
}
