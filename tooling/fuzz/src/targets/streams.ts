/*
 * Bytes of strangers, damage, and peers that lie under right checksums, at each side of a stream's exchange: who answers and
 * who asks, at the server and at a member. Whatever comes: the exchange ends with its connection, in an error that is
 * documented; what is read to a whole end is what was said; and another exchange does not notice.
 */
import { StreamError, StreamFrameLayout } from "@holdfast/net-reliable";
import { crc32c, equalBytes } from "@holdfast/wire-format";
import { FindingError, type FuzzTarget, type Verdict } from "../target.ts";
import { chunksOf, concatenated, garbage } from "./pieces.ts";
import {
  answering,
  asking,
  called,
  calling,
  LONG,
  type Read,
  REQUEST,
  SHORT,
  type StreamSide,
  type Watch,
} from "./stream-roles.ts";
import { calm } from "./stream-sides.ts";

const SAID: readonly Uint8Array[] = [SHORT, LONG].map(concatenated);

const HEADER_BYTES = StreamFrameLayout.sizeBytes;
const DATA_FRAME = 2;
/** Bytes that come at once: less than half a window, so that credit keeps up. */
const DELIVERY_BYTES = 2000;

/** The targets of this file. */
export async function streamTargets(): Promise<readonly FuzzTarget[]> {
  const [server, member] = [await answering(), await asking()];
  const strange = [garbage(), ...member.summed];
  return [
    damaged("a member's or a stranger's bytes at a server's stream", server, strange),
    damaged("a server's bytes at a member's stream", member),
    damaged("a called member's bytes at a server's stream", await calling()),
    damaged("an asking server's bytes at a member's stream", await called()),
    lying("a lying member's frames at a server's stream", server),
    lying("a lying server's frames at a member's stream", member),
  ];
}

/** Damage on the way: what comes whole is what was said. */
function damaged(name: string, side: StreamSide, strange: readonly Uint8Array[] = []): FuzzTarget {
  const feed = async (input: Uint8Array, entropy: number): Promise<Verdict> => {
    const read = await fire(side, input, entropy);
    if (read === undefined) return "refused";
    const wasSaid = SAID.some((bytes) => equalBytes(bytes, read.bytes)) && equalBytes(read.body, REQUEST);
    if (!wasSaid) throw new FindingError("a stream came whole that nobody sent");
    return "accepted";
  };
  return { name, weight: 3, seeds: [...side.summed, ...strange], isFixedLength: false, feed };
}

/** A peer that knows the key and makes its checksums right, whatever it says. */
function lying(name: string, side: StreamSide): FuzzTarget {
  const { greetingBytes, summed, unsummed } = side;
  const greeting = unsummed.slice(0, greetingBytes);
  const feed = async (input: Uint8Array, entropy: number): Promise<Verdict> => {
    const read = await fire(side, concatenated([greeting, sealed(input)]), entropy);
    return read === undefined ? "refused" : "accepted";
  };
  const seeds = [unsummed, ...summed].map((bytes) => bytes.slice(greetingBytes));
  return { name, weight: 4, seeds, isFixedLength: false, feed };
}

/** Fires at a side; returns what it read whole. @throws FindingError when anything of it outlives the connection. */
async function fire(side: StreamSide, input: Uint8Array, entropy: number): Promise<Read | undefined> {
  const [whole, wrong]: [Read[], unknown[]] = [[], []];
  let waitingCount = 0;
  const settled = (error: unknown): void => {
    waitingCount -= 1;
    if (error !== undefined && !(error instanceof StreamError)) wrong.push(error);
  };
  const watch: Watch = (reading) => {
    waitingCount += 1;
    void reading
      .then((read) => {
        if (read !== undefined) whole.push(read);
      })
      .then(() => settled(undefined), settled);
  };
  const stream = await side.begin(watch);
  for (const chunk of deliveries(input, side.greetingBytes, entropy)) {
    stream.receive(chunk, (entropy & 1) === 0);
    await calm();
  }
  stream.destroy();
  await calm();
  side.end();
  await calm();
  if (wrong.length > 0) throw wrong[0];
  if (waitingCount > 0) throw new FindingError("somebody waits for a stream whose connection is gone");
  side.checkRest();
  const [read] = whole;
  if (entropy % 16 === 0) await side.checkService();
  return read;
}

/** The input in pieces that come as late as an honest side would send them: greeting, credit, and the rest within credit. */
function deliveries(input: Uint8Array, greetingBytes: number, entropy: number): readonly Uint8Array[] {
  const edges = [0, greetingBytes, greetingBytes + HEADER_BYTES];
  for (let end = greetingBytes + HEADER_BYTES; end < input.length;) edges.push((end += DELIVERY_BYTES));
  return edges.slice(1).flatMap((end, index) => {
    const part = input.subarray(edges[index], end);
    return part.length === 0 ? [] : chunksOf(part, entropy);
  });
}

/** Makes the checksums of frames right, as far as their lengths tell where they are. */
function sealed(input: Uint8Array): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  for (let at = 0; at + HEADER_BYTES <= input.length;) {
    const start = at + HEADER_BYTES;
    const end = start + view.getUint32(at + 4, true);
    const checksum = input[at] === DATA_FRAME ? 0 : crc32c(input, start, Math.min(end, input.length));
    view.setUint32(at + 16, checksum, true);
    view.setUint32(at + 20, crc32c(input, at, at + 20), true);
    at = end;
  }
  return input;
}
