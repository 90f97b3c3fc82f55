/*
 * Halves of a journal: what stood there before, torn, damaged or lied about. Reading one never throws, and never finds
 * an entry that nobody wrote.
 */
import { EntryBuilder, itemSizeBytes, parseJournalHalf, visitItems } from "@holdfast/item-store";
import { BLOCK_BYTES } from "@holdfast/environment";
import { crc32c } from "@holdfast/wire-format";
import { FindingError, type FuzzTarget } from "../target.ts";
import { FSID, sampleKey } from "./samples.ts";

const OWNER = { fsid: FSID, rid: 5n };
const HALF_BLOCKS = 8;
const ENTRIES = 4;
const HEADER_BYTES = 64;
const LENGTH_OFFSET = 36;

/** The targets of this file. */
export function journalTargets(): readonly FuzzTarget[] {
  const half = journalHalf();
  const checksums = checksumsOf(half);
  return [
    {
      name: "damaged journals",
      weight: 6,
      seeds: [half],
      isFixedLength: true,
      feed: (input) => {
        const { entries } = parse(input);
        for (const { header } of entries) {
          if (!checksums.has(header.checksum)) throw new FindingError("an entry was found that nobody wrote");
        }
        return entries.length === ENTRIES ? "accepted" : "refused";
      },
    },
    {
      name: "journals under a right checksum",
      weight: 6,
      seeds: [half],
      isFixedLength: true,
      feed: (input) => (parse(resealed(input)).entries.length === ENTRIES ? "accepted" : "refused"),
    },
  ];
}

/** Finds the entries and looks at each of their items, as a replay does. */
function parse(half: Uint8Array): ReturnType<typeof parseJournalHalf> {
  const parsed = parseJournalHalf(half, OWNER, 0n);
  for (const entry of parsed.entries) {
    let itemCount = 0;
    visitItems(half, entry, (key, _seq, value) => {
      itemCount += 1;
      if (
        key.length !== 32 ||
        (value !== undefined && value.byteOffset + value.length > half.byteOffset + half.length)
      )
        throw new FindingError("an item reaches beyond its journal");
    });
    if (itemCount !== entry.header.itemCount) throw new FindingError("an entry has other items than it says");
  }
  return parsed;
}

function journalHalf(): Uint8Array {
  const half = new Uint8Array(HALF_BLOCKS * BLOCK_BYTES);
  const builder = new EntryBuilder();
  let [offset, previous] = [0, 0];
  for (let index = 0; index < ENTRIES; index += 1) {
    const values = [new Uint8Array(30 + index * 700).fill(index), undefined, new Uint8Array(0)];
    builder.begin(values.reduce((sum, value) => sum + itemSizeBytes(value), 0));
    values.forEach((value, item) => builder.add(sampleKey(10 * index + item), BigInt(index + 1), value));
    const { block, checksum } = builder.finish({ ...OWNER, epoch: 3n, index, previous });
    half.set(block, offset);
    offset += block.length;
    previous = checksum;
  }
  return half;
}

function checksumsOf(half: Uint8Array): ReadonlySet<number> {
  return new Set(parseJournalHalf(half, OWNER, 0n).entries.map(({ header }) => header.checksum));
}

/** The first entry gets the checksum that its bytes have now. */
function resealed(input: Uint8Array): Uint8Array {
  const half = input.slice();
  const view = new DataView(half.buffer);
  const end = HEADER_BYTES + view.getUint32(LENGTH_OFFSET, true);
  if (end <= half.length) view.setUint32(0, crc32c(half, 4, end), true);
  return half;
}
