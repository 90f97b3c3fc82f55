/*
 * What an NBD server sends: its handshake, and its replies, simple and in chunks. Whatever comes: the export is one that
 * makes sense, each request is answered once, and no byte goes outside the memory of the read that asked for it.
 */
import { InFlight, Negotiation, ReplyParser, type ReplyTarget } from "@holdfast/block-device";
import { FindingError, type FuzzTarget, type Verdict, verdictOf } from "../target.ts";
import { chunksOf, concatenated } from "./pieces.ts";

const EXPORT_NAME = "volume";
const GREETING: Uint8Array = Buffer.from("NBDMAGICIHAVEOPT\0\u0003", "latin1");
/** Options, as the handshake asks for them. */
const [LIST, START_TLS, GO, STRUCTURED] = [3, 5, 7, 8];
const [ACK, SERVER, INFO, UNKNOWN] = [1, 2, 3, 0x8000_0006];
const BLOCK_BYTES_MAX = 65_536;

/** The targets of this file. */
export function nbdTargets(): readonly FuzzTarget[] {
  return [
    handshake(),
    replies("simple replies of an NBD server", false),
    replies("chunks of an NBD server", true),
  ];
}

function handshake(): FuzzTarget {
  const accepted = [
    option(STRUCTURED, ACK),
    option(GO, INFO, fields([0, 2], [1 << 30, 8], [0x16d, 2])),
    option(GO, INFO, fields([3, 2], [512, 4], [4096, 4], [1 << 25, 4])),
    option(GO, ACK),
  ];
  const unknown = [
    option(STRUCTURED, 0x8000_0001, Buffer.from("what?")),
    option(GO, UNKNOWN),
    option(LIST, SERVER, Buffer.concat([fields([5, 4]), Buffer.from("other")])),
    option(LIST, ACK),
  ];
  return {
    name: "handshakes of an NBD server",
    weight: 6,
    seeds: [accepted, unknown].map((said) => concatenated([GREETING, ...said])),
    isFixedLength: false,
    feed: (input, entropy) => {
      const isSecure = (entropy & 3) === 0;
      const negotiation = new Negotiation(EXPORT_NAME, isSecure);
      let isReady = false;
      const verdict = verdictOf(() => {
        let bytes = input;
        if (isSecure) {
          // What comes before TLS cannot be changed here: only the rest is under fire.
          negotiation.handle({ type: "bytes", bytes: concatenated([GREETING, option(START_TLS, ACK)]) });
          negotiation.handle({ type: "secured" });
          bytes = input.subarray(GREETING.length);
        }
        for (const chunk of chunksOf(bytes, entropy)) {
          for (const effect of negotiation.handle({ type: "bytes", bytes: chunk })) {
            if (effect.type === "start-tls") throw new FindingError("it would do TLS twice, or unasked");
            if (effect.type !== "ready") continue;
            if (isReady) throw new FindingError("it is ready twice");
            isReady = true;
            const { blockBytesMin, payloadBytesMax } = effect.export;
            const isSound = blockBytesMin > 0 && blockBytesMin <= Math.min(payloadBytesMax, BLOCK_BYTES_MAX);
            if (!isSound) throw new FindingError("an export's limits make no sense");
          }
        }
      });
      return isReady ? verdict : "refused";
    },
  };
}

/** Requests in flight when the server answers. */
const READS: readonly { readonly offsetBytes: number; readonly lengthBytes: number }[] = [
  { offsetBytes: 8192, lengthBytes: 64 },
  { offsetBytes: 2 ** 40, lengthBytes: 512 },
];
const OTHERS_COUNT = 3;
/** Bytes around the memory of each read, and what they are. */
const MARGIN_BYTES = 64;
const MARGIN_BYTE = 0xee;

function replies(name: string, isStructured: boolean): FuzzTarget {
  const all = READS.map((read, slot) =>
    isStructured ? chunked(read, slot) : simple(slot, 0, read.lengthBytes),
  );
  const others = Array.from({ length: OTHERS_COUNT }, (_, index) => simple(READS.length + index, 0, 0));
  const failed = isStructured
    ? chunk(1, 0x8001, 0, fields([5, 4], [4, 2], [0x6f6f_7073, 4]))
    : simple(1, 5, 0);
  return {
    name,
    weight: 6,
    seeds: [concatenated([...others, ...all]), concatenated([failed, ...others])],
    isFixedLength: false,
    feed: (input, entropy) => feedReplies(input, entropy, isStructured),
  };
}

function feedReplies(input: Uint8Array, entropy: number, isStructured: boolean): Verdict {
  const inFlight = new InFlight<ReplyTarget>(READS.length + OTHERS_COUNT);
  const arenas = READS.map(({ lengthBytes }) =>
    new Uint8Array(lengthBytes + 2 * MARGIN_BYTES).fill(MARGIN_BYTE),
  );
  READS.forEach(({ offsetBytes, lengthBytes }, index) => {
    const memory = arenas[index]?.subarray(MARGIN_BYTES, MARGIN_BYTES + lengthBytes);
    inFlight.add({ isRead: true, offsetBytes, lengthBytes, memory });
  });
  for (let index = 0; index < OTHERS_COUNT; index += 1)
    inFlight.add({ isRead: false, offsetBytes: 0, lengthBytes: 4096, memory: undefined });
  const answered = new Set<number>();
  const parser = new ReplyParser(inFlight, isStructured, (slot) => {
    if (answered.has(slot)) throw new FindingError("a request is answered twice");
    answered.add(slot);
    inFlight.remove(slot);
  });
  const verdict = verdictOf(() => {
    for (const bytes of chunksOf(input, entropy)) parser.feed(bytes);
  });
  for (const arena of arenas) {
    const margins = [arena.subarray(0, MARGIN_BYTES), arena.subarray(-MARGIN_BYTES)];
    if (margins.some((margin) => margin.some((byte) => byte !== MARGIN_BYTE)))
      throw new FindingError("a reply was written outside the memory of its request");
  }
  return verdict;
}

/** A read's answer in three chunks: the second half, a hole, and that it is over. */
function chunked({ offsetBytes, lengthBytes }: (typeof READS)[number], slot: number): Uint8Array {
  const half = lengthBytes / 2;
  const data = Buffer.concat([fields([offsetBytes + half, 8]), Buffer.alloc(half, slot + 1)]);
  const hole = fields([offsetBytes, 8], [half, 4]);
  return concatenated([chunk(slot, 1, 0, data), chunk(slot, 2, 0, hole), chunk(slot, 0, 1, Buffer.alloc(0))]);
}

function chunk(slot: number, type: number, flags: number, payload: Uint8Array): Uint8Array {
  const header = fields([0x668e_33ef, 4], [flags, 2], [type, 2], [1, 4], [slot, 4], [payload.length, 4]);
  return Buffer.concat([header, payload]);
}

function simple(slot: number, errno: number, dataBytes: number): Uint8Array {
  const header = fields([0x6744_6698, 4], [errno, 4], [1, 4], [slot, 4]);
  return Buffer.concat([header, Buffer.alloc(dataBytes, slot + 1)]);
}

function option(asked: number, type: number, data: Uint8Array = Buffer.alloc(0)): Uint8Array {
  const header = fields([0x0003_e889, 4], [0x0455_65a9, 4], [asked, 4], [type, 4], [data.length, 4]);
  return Buffer.concat([header, data]);
}

/** Numbers of so many bytes each, the highest byte first. */
function fields(...numbers: readonly (readonly [value: number, bytes: 2 | 4 | 8])[]): Buffer {
  return Buffer.concat(
    numbers.map(([value, bytes]) => {
      const field = Buffer.alloc(8);
      field.writeBigUInt64BE(BigInt(value));
      return field.subarray(8 - bytes);
    }),
  );
}
