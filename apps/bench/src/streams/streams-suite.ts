/*
 * Bulk between two processes: a stream beside a bare socket pipe, and beside one whose two ends sum up the same bytes with
 * CRC-32, the fastest checksum that Node.js brings.
 *
 * Rates need both processors to be free; on a machine that does other work, the processor time of both ends for a byte is the
 * steadier figure.
 */
import { crc32 } from "node:zlib";
import { type ClientSession, startClientSession } from "@holdfast/net-reliable";
import { type Child, startChild } from "../child.ts";
import { measureRow, type Row } from "../contest.ts";
import { processorUs } from "../processor-time.ts";
import type { StreamsSizes } from "../sizes.ts";
import { type Pass, chunkStock, passBy, receiveBarePipe } from "./bare-pipe.ts";
import { COMMAND_ORDER, COMMAND_TAKE, type Order, bulkIdentity, bulkPorts, orderBody } from "./bulk-ports.ts";

const KIB = 1024;

/** Chunk lengths, and what is aimed at. */
const CHUNKS: readonly { readonly bytes: number; readonly title: string; readonly goal?: number }[] = [
  { bytes: 64 * KIB, title: "64 KiB" },
  { bytes: 256 * KIB, title: "256 KiB", goal: 0.9 },
  { bytes: 1024 * KIB, title: "1 MiB", goal: 0.9 },
];

/** What a stream does beside sending, and where its pieces lie. */
const KINDS: readonly (Pick<Order, "isSummed" | "isInPlace"> & { readonly title: string })[] = [
  { title: "without checksum", isSummed: false, isInPlace: false },
  { title: "with checksum", isSummed: true, isInPlace: false },
  { title: "with checksum, from a streamBuffer", isSummed: true, isInPlace: true },
];

/** Measures the streams rows. */
export async function measureStreams(sizes: StreamsSizes): Promise<readonly Row[]> {
  const { child, greeting } = await startChild("streams/sender-process.js", []);
  const ports = JSON.parse(greeting) as Addresses;
  const session = startClientSession({ identity: bulkIdentity, address: ports.streams }, bulkPorts);
  try {
    const bench = { ...sizes, child, ports, session };
    const rows: Row[] = [];
    for (const chunk of CHUNKS) {
      for (const kind of KINDS) rows.push(await measurePull(bench, chunk, kind));
      rows.push(await measureProcessors(bench, chunk));
    }
    rows.push(await measurePush(session, sizes.totalBytes, sizes.rounds));
    return rows;
  } finally {
    session.close();
    await child.stop();
  }
}

interface Addresses {
  readonly streams: string;
  readonly bare: number;
  readonly summed: number;
}

interface Bench extends StreamsSizes {
  readonly child: Child;
  readonly ports: Addresses;
  readonly session: ClientSession;
}

type Chunk = (typeof CHUNKS)[number];
type Kind = (typeof KINDS)[number];

/** Towards the side that dials. */
function measurePull(
  { totalBytes, rounds, ports, session }: Bench,
  chunk: Chunk,
  { title, isSummed, isInPlace }: Kind,
): Promise<Row> {
  const pipe = (port: number, pass: Pass): Promise<number> =>
    rateBehindStart(totalBytes, (passed) =>
      receiveBarePipe(port, totalBytes, chunk.bytes, (bytes, sum) => {
        passed(bytes.length);
        return pass(bytes, sum);
      }),
    );
  const barePipe = { "bare pipe": () => pipe(ports.bare, passBy) };
  return measureRow({
    row: `${chunk.title}, ${title}`,
    unit: "MB/s",
    isLowerBetter: false,
    runs: rounds,
    ours: () =>
      rateBehindStart(totalBytes, (passed) =>
        receive(session, { totalBytes, chunkBytes: chunk.bytes, isSummed, isInPlace }, passed),
      ),
    peers: isSummed ? { ...barePipe, "bare pipe, CRC-32": () => pipe(ports.summed, crc32) } : barePipe,
    goals: chunk.goal === undefined ? {} : { "bare pipe": chunk.goal },
  });
}

/** What the same costs the processors, with the checksum. */
function measureProcessors({ totalBytes, rounds, child, ports, session }: Bench, chunk: Chunk): Promise<Row> {
  const cost = async (work: () => Promise<void>): Promise<number> => {
    const startUs = processorUs() + Number(await child.ask("processor"));
    await work();
    const endUs = processorUs() + Number(await child.ask("processor"));
    return ((endUs - startUs) * 1000) / (totalBytes / KIB);
  };
  const pipe = (port: number, pass: Pass): Promise<number> =>
    cost(() => receiveBarePipe(port, totalBytes, chunk.bytes, pass));
  return measureRow({
    row: `${chunk.title}, with checksum, processor time of both ends`,
    unit: "ns/KiB",
    isLowerBetter: true,
    runs: rounds,
    ours: () =>
      cost(() => receive(session, { totalBytes, chunkBytes: chunk.bytes, isSummed: true, isInPlace: false })),
    peers: {
      "bare pipe": () => pipe(ports.bare, passBy),
      "bare pipe, CRC-32": () => pipe(ports.summed, crc32),
    },
  });
}

/** Towards the side that listens. */
function measurePush(session: ClientSession, totalBytes: number, runs: number): Promise<Row> {
  return measureRow({
    row: "256 KiB, with checksum, sent with a request",
    unit: "MB/s",
    isLowerBetter: false,
    runs,
    ours: () =>
      rate(totalBytes, async () => {
        const source = async function* (): AsyncGenerator<Uint8Array> {
          yield* chunkStock.take(totalBytes, 256 * KIB);
        };
        const { body, stream } = await session.requestStream(COMMAND_TAKE, new Uint8Array(0), {
          source: source(),
        });
        await stream.return?.();
        expectBytes(new DataView(body.buffer, body.byteOffset).getFloat64(0, true), totalBytes);
      }),
    peers: {},
  });
}

async function receive(
  session: ClientSession,
  order: Order,
  passed: (bytes: number) => void = () => {},
): Promise<void> {
  const { stream } = await session.requestStream(COMMAND_ORDER, orderBody(order));
  let bytes = 0;
  for await (const piece of stream) {
    bytes += piece.length;
    passed(piece.length);
  }
  expectBytes(bytes, order.totalBytes);
}

function expectBytes(bytes: number, totalBytes: number): void {
  if (bytes !== totalBytes) throw new Error(`${bytes} of ${totalBytes} bytes came`);
}

/**
 * The rate of what `work` lets pass, without the first quarter: Linux lets two processes that wake each other begin on one
 * processor, and moves one of them within 20 to 60 ms.
 */
async function rateBehindStart(
  totalBytes: number,
  work: (passed: (bytes: number) => void) => Promise<void>,
): Promise<number> {
  let [passedBytes, startBytes, startMs] = [0, 0, 0];
  await work((bytes) => {
    passedBytes += bytes;
    if (startBytes > 0 || passedBytes < totalBytes / 4) return;
    startBytes = passedBytes;
    startMs = performance.now();
  });
  return (passedBytes - startBytes) / 1000 / (performance.now() - startMs);
}

async function rate(totalBytes: number, work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return totalBytes / 1000 / (performance.now() - startMs);
}
