import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  array,
  binary,
  bool,
  message,
  MESSAGE_DEPTH_MAX,
  type MessageCodec,
  type MessageError,
  optional,
  string,
  toHex,
  uint,
  uint64,
} from "../src/index.ts";

interface Part {
  readonly id: bigint;
  readonly tag: number;
}

const Part: MessageCodec<Part> = message("Part", { id: uint64, tag: uint });

interface Probe {
  readonly count: number;
  readonly big: bigint;
  readonly isOn: boolean;
  readonly name: string;
  readonly data: Uint8Array;
  readonly list: readonly number[];
  readonly maybe: number | undefined;
  readonly parts: readonly Part[];
}

const Probe: MessageCodec<Probe> = message("Probe", {
  count: uint,
  big: uint64,
  isOn: bool,
  name: string(8),
  data: binary(8),
  list: array(uint, 4),
  maybe: optional(uint),
  parts: array(Part, 2),
});

const EXAMPLE: Probe = {
  count: 300,
  big: 1n << 40n,
  isOn: true,
  name: "äb",
  data: Uint8Array.of(0x78, 0x79),
  list: [1, 2],
  maybe: undefined,
  parts: [{ id: 2n, tag: 3 }],
};

const One: MessageCodec<{ readonly count: number }> = message("One", { count: uint });
const Data: MessageCodec<{ readonly data: Uint8Array }> = message("Data", { data: binary(100) });

describe("a message", () => {
  test("is a MessagePack array in the order of its declaration", () => {
    expect(toHex(Probe.encode(EXAMPLE))).toBe(
      [
        "98",
        "cd012c",
        "cf0000010000000000",
        "c3",
        "a3c3a462",
        "c4027879",
        "920102",
        "c0",
        "9192cf000000000000000203",
      ].join(""),
    );
  });

  test("is decoded as it was encoded", () => {
    const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const u32 = fc.nat(2 ** 32 - 1);
    const probe: fc.Arbitrary<Probe> = fc.record({
      count: u32,
      big: u64,
      isOn: fc.boolean(),
      name: fc.string({ unit: "binary", maxLength: 4 }),
      data: fc.uint8Array({ maxLength: 8 }),
      list: fc.array(u32, { maxLength: 4 }),
      maybe: fc.option(u32, { nil: undefined }),
      parts: fc.array(fc.record({ id: u64, tag: u32 }), { maxLength: 2 }),
    });
    fc.assert(
      fc.property(probe, (value) => {
        expect(Probe.decode(Probe.encode(value))).toEqual(value);
      }),
    );
  });

  test("keeps no view of the bytes it was decoded from, not even of a socket's buffer", () => {
    const buffer = Buffer.from(Data.encode({ data: Uint8Array.of(1, 2, 3) }));
    const { data } = Data.decode(buffer);

    buffer.fill(0xee);

    expect([...data]).toEqual([1, 2, 3]);
  });

  test("tells its shape, limits included, in its signature", () => {
    expect(Probe.signature).toBe(
      "Probe[count:uint,big:uint64,isOn:bool,name:string(8),data:binary(8),list:array(uint,4),maybe:optional(uint),parts:array(Part[id:uint64,tag:uint],2)]",
    );
  });
});

describe("a value that breaks its declaration", () => {
  test.each<[string, object]>([
    ["a number beyond 32 bits", { count: 2 ** 32 }],
    ["a negative number", { count: -1 }],
    ["a fraction", { count: 0.5 }],
    ["a bigint beyond 64 bits", { big: 1n << 64n }],
    ["a negative bigint", { big: -1n }],
    ["a string that is too long", { name: "123456789" }],
    ["half of a surrogate pair", { name: "\ud800" }],
    ["bytes that are too many", { data: new Uint8Array(9) }],
    ["a list that is too long", { list: [1, 2, 3, 4, 5] }],
    ["a wrong entry of a list", { list: [1, -1] }],
    ["a wrong field of a message inside", { parts: [{ id: -1n, tag: 0 }] }],
  ])("%s is not encoded", (_, wrong) => {
    expect(errorOf(() => Probe.encode({ ...EXAMPLE, ...wrong }))).toMatchObject({
      code: "ERR_HOLDFAST_MESSAGE_SHAPE",
      category: "protocol",
      facts: { message: "Probe" },
    });
  });

  test.each<[string, string]>([
    ["a number where a message should be", "01"],
    ["nil", "c0"],
    ["a string", "a161"],
    ["too few fields", "90"],
    ["too many fields", "920101"],
    ["a string for a number", "91a131"],
    ["a negative number", "91ff"],
    ["a fraction", "91cb3ff8000000000000"],
    ["what is no number", "91cb7ff8000000000000"],
    ["infinity", "91cb7ff0000000000000"],
    ["a 64-bit number for a 32-bit one", "91cf0000000000000001"],
    ["an empty map for a number", "9180"],
    ["an empty map", "80"],
    ["an empty extension for a number", "91c70005"],
  ])("%s is not decoded (%s)", (_, hex) => {
    expect(codeOf(() => One.decode(Buffer.from(hex, "hex")))).toBe("ERR_HOLDFAST_MESSAGE_SHAPE");
  });

  test.each<[string, string]>([
    ["bytes that are too many", `91c409${"00".repeat(9)}`],
    ["text for bytes", "91a161"],
  ])("%s are not decoded", (_, hex) => {
    const Short: MessageCodec<{ readonly data: Uint8Array }> = message("Short", { data: binary(8) });

    expect(codeOf(() => Short.decode(Buffer.from(hex, "hex")))).toBe("ERR_HOLDFAST_MESSAGE_SHAPE");
  });

  test("an error names the way to the field", () => {
    const wrong = { ...EXAMPLE, parts: [{ id: 1n, tag: -1 }] };

    expect(errorOf(() => Probe.encode(wrong))).toMatchObject({
      message: "Probe has a wrong shape: parts: tag: not an unsigned 32-bit integer",
    });
  });
});

describe("bytes that are hostile", () => {
  test.each<[string, string]>([
    ["nothing", ""],
    ["a byte that MessagePack never uses", "91c1"],
    ["bytes behind the message", "910100"],
    ["a second message behind the first", "91019101"],
    ["a map", "9181a16101"],
    ["a map with a prototype key", "9181a95f5f70726f746f5f5f9101"],
    ["a map with a key twice", "9182a16101a16102"],
    ["an extension", "91d40500"],
    ["a timestamp", "91d6ff00000000"],
    ["an array of 4 G entries", "ddffffffff"],
    ["a list of 4 G entries inside", "91ddffffffff"],
    ["a map of 4 G entries", "91dfffffffff"],
    ["4 GiB of bytes", "91c6ffffffff"],
    ["4 GiB of text", "91dbffffffff"],
    ["an extension of 4 GiB", "91c9ffffffff05"],
    ["65 536 entries and none of them there", "91dd00010000"],
    ["lists of 65 535 entries in one another", `91${"dcffff".repeat(7)}`],
    ["a list that has one entry too few for what is left to come", "92920101"],
  ])("%s is not well-formed for us (%s)", (_, hex) => {
    const code = codeOf(() => One.decode(Buffer.from(hex, "hex")));

    expect(code).toBe("ERR_HOLDFAST_MESSAGE_MALFORMED");
  });

  test("each truncation of a message is refused", () => {
    const whole = Probe.encode(EXAMPLE);

    const codes = Array.from({ length: whole.length }, (_, length) =>
      codeOf(() => Probe.decode(whole.subarray(0, length))),
    );

    expect(new Set(codes)).toEqual(new Set(["ERR_HOLDFAST_MESSAGE_MALFORMED"]));
  });

  test("a message nests eight deep and no deeper", () => {
    const nested = (depth: number): Buffer => Buffer.from([...Array.from({ length: depth }, () => 0x91), 1]);

    expect(codeOf(() => One.decode(nested(MESSAGE_DEPTH_MAX)))).toBe("ERR_HOLDFAST_MESSAGE_SHAPE");
    expect(codeOf(() => One.decode(nested(MESSAGE_DEPTH_MAX + 1)))).toBe("ERR_HOLDFAST_MESSAGE_LIMIT");
    expect(codeOf(() => One.decode(nested(1_000_000)))).toBe("ERR_HOLDFAST_MESSAGE_LIMIT");
  });

  test("as deep as a message may nest, it is encoded and decoded", () => {
    const Deepest = deepen(MESSAGE_DEPTH_MAX - 1);
    const value = nest(MESSAGE_DEPTH_MAX - 1);

    expect(Deepest.decode(Deepest.encode(value))).toEqual(value);
    expect(codeOf(() => deepen(MESSAGE_DEPTH_MAX).encode(nest(MESSAGE_DEPTH_MAX)))).toBe(
      "ERR_HOLDFAST_MESSAGE_SHAPE",
    );
  });

  test("nesting in a later entry is seen behind entries of every length", () => {
    const skipped = [
      "01",
      "c0",
      "cc01",
      "cd0001",
      "ce00000001",
      "cb3ff0000000000000",
      "a161",
      "d90161",
      "c40100",
    ];
    const bytes = Buffer.from(`9a${skipped.join("")}${"91".repeat(MESSAGE_DEPTH_MAX)}01`, "hex");

    expect(codeOf(() => One.decode(bytes))).toBe("ERR_HOLDFAST_MESSAGE_LIMIT");
  });

  test("no bytes make the decoder throw anything but its own errors", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(codeOf(() => Probe.decode(bytes))).toMatch(/^(accepted|ERR_HOLDFAST_MESSAGE_)/);
      }),
      { numRuns: 2000 },
    );
  });

  test("ten thousand bombs cost no memory that stays, and the next good message is decoded", () => {
    const bombs = ["ddffffffff", "91ddffffffff", "91c6ffffffff", "91dbffffffff", "dcffff".repeat(8)];
    const before = process.memoryUsage();

    for (let round = 0; round < 2000; round += 1) {
      for (const bomb of bombs) {
        expect(codeOf(() => One.decode(Buffer.from(bomb, "hex")))).not.toBe("accepted");
      }
    }

    const after = process.memoryUsage();
    expect(after.rss - before.rss).toBeLessThan(128 * 1024 * 1024);
    expect(One.decode(One.encode({ count: 1 }))).toEqual({ count: 1 });
  });
});

type Nested = { readonly inner: unknown };

function deepen(levels: number): MessageCodec<unknown> {
  if (levels === 0) return One;
  return message<Nested>("Nested", { inner: deepen(levels - 1) });
}

function nest(levels: number): unknown {
  return levels === 0 ? { count: 1 } : { inner: nest(levels - 1) };
}

function errorOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

function codeOf(action: () => unknown): string {
  const error = errorOf(action);
  if (error === undefined) return "accepted";
  // Every refusal is a MessageError; anything else shows as a code that no test expects.
  return (error as MessageError).code ?? "another error";
}
