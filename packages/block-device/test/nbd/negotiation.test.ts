import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NbdProtocolError } from "../../src/nbd/nbd-error.ts";
import {
  Negotiation,
  type NegotiationEffect,
  REPLIES_MAX,
  REPLY_BYTES_MAX,
} from "../../src/nbd/negotiation.ts";
import { exportInfo, greeting, optionReply } from "./scripted-server.ts";

const [LIST, START_TLS, GO, STRUCTURED] = [3, 5, 7, 8];
const [ACK, SERVER, INFO] = [1, 2, 3];
const UNSUPPORTED = 0x80000001;
const FLAGS = 1 + 4 + 8 + 256;

function bytes(...parts: readonly Buffer[]): { readonly type: "bytes"; readonly bytes: Uint8Array } {
  return { type: "bytes", bytes: Buffer.concat(parts) };
}

function blockSizes(minimum: number, preferred: number, maximum: number): Buffer {
  const data = Buffer.alloc(14);
  data.writeUInt16BE(3, 0);
  [minimum, preferred, maximum].forEach((size, index) => data.writeUInt32BE(size, 2 + 4 * index));
  return optionReply(GO, INFO, data);
}

function listed(name: string): Buffer {
  const data = Buffer.alloc(4 + Buffer.byteLength(name));
  data.writeUInt32BE(Buffer.byteLength(name), 0);
  data.write(name, 4);
  return optionReply(LIST, SERVER, data);
}

const EXPORT = optionReply(GO, INFO, exportInfo(1n << 30n, FLAGS));

/** Feeds one part after the other, as a server would that answers at once. */
function negotiate(parts: readonly Buffer[], isSecure = false, name = "disk"): readonly NegotiationEffect[] {
  const negotiation = new Negotiation(name, isSecure);
  return parts.flatMap((part) => negotiation.handle(bytes(part)));
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof NbdProtocolError) return error.message;
    throw error;
  }
  return "";
}

describe("a negotiation", () => {
  test("asks for structured replies, then for the export with its block sizes, and ends with what it can do", () => {
    const negotiation = new Negotiation("disk", false);

    const [flags, structured] = negotiation.handle(bytes(greeting()));
    const [go] = negotiation.handle(bytes(optionReply(STRUCTURED, ACK)));
    const end = negotiation.handle(bytes(EXPORT, blockSizes(512, 4096, 1 << 20), optionReply(GO, ACK)));

    expect(flags).toEqual({ type: "send", bytes: new Uint8Array([0, 0, 0, 3]) });
    expect(hex(structured)).toBe("49484156454f50540000000800000000");
    expect(hex(go)).toBe(
      `49484156454f5054000000070000000c00000004${Buffer.from("disk").toString("hex")}00010003`,
    );
    expect(end).toEqual([
      {
        type: "ready",
        export: {
          sizeBytes: 1n << 30n,
          flags: FLAGS,
          blockBytesMin: 512,
          payloadBytesMax: 1 << 20,
          isStructured: true,
        },
      },
    ]);
  });

  test("does without structured replies and block sizes where the server has none", () => {
    const effects = negotiate([
      greeting(),
      optionReply(STRUCTURED, UNSUPPORTED),
      EXPORT,
      optionReply(GO, ACK),
    ]);

    expect(effects.at(-1)).toMatchObject({
      export: { isStructured: false, blockBytesMin: 1, payloadBytesMax: 32 * 1024 * 1024 },
    });
  });

  test("starts TLS before anything else, and goes on when it is done", () => {
    const negotiation = new Negotiation("disk", true);

    expect(hex(negotiation.handle(bytes(greeting()))[1])).toBe("49484156454f50540000000500000000");
    expect(negotiation.handle(bytes(optionReply(START_TLS, ACK)))).toEqual([{ type: "start-tls" }]);
    expect(hex(negotiation.handle({ type: "secured" })[0])).toBe("49484156454f50540000000800000000");
  });

  test("comes out the same however the bytes are cut", () => {
    const whole = Buffer.concat([greeting(), optionReply(STRUCTURED, ACK), EXPORT, optionReply(GO, ACK)]);
    const negotiation = new Negotiation("disk", false);

    const effects = [...whole].flatMap((byte) => negotiation.handle(bytes(Buffer.from([byte]))));

    expect(effects).toEqual(negotiate([whole]));
  });

  test.each<[string, readonly Buffer[], boolean]>([
    ["it is no NBD server", [Buffer.from("SSH-2.0-OpenSSH_9.2")], false],
    ["oldstyle protocol only", [greeting(3, 0x00420281861253n)], false],
    ["greeting is malformed", [greeting(3, 1n)], false],
    ["cannot do fixed newstyle", [greeting(0)], false],
    ["it refuses TLS: it does not know the option", [greeting(), optionReply(START_TLS, UNSUPPORTED)], true],
    ["it wants TLS: use nbds://", [greeting(), optionReply(STRUCTURED, 0x80000005)], false],
    [
      "bytes where it must wait",
      [greeting(), Buffer.concat([optionReply(START_TLS, ACK), Buffer.from("x")])],
      true,
    ],
    ["wrong magic number", [greeting(), Buffer.alloc(20)], false],
    ["an option that was not asked", [greeting(), optionReply(LIST, ACK)], false],
    [
      `would have ${REPLY_BYTES_MAX + 1} bytes`,
      [greeting(), optionReply(STRUCTURED, ACK, Buffer.alloc(REPLY_BYTES_MAX + 1))],
      false,
    ],
    [
      "does not tell the export's size",
      [greeting(), optionReply(STRUCTURED, ACK), optionReply(GO, ACK)],
      false,
    ],
    [
      "block sizes make no sense: 3",
      [greeting(), optionReply(STRUCTURED, ACK), blockSizes(3, 4096, 4096)],
      false,
    ],
    [
      "block sizes make no sense: 4096",
      [greeting(), optionReply(STRUCTURED, ACK), blockSizes(4096, 4096, 512)],
      false,
    ],
    [
      "information on the export is malformed",
      [greeting(), optionReply(STRUCTURED, ACK), optionReply(GO, INFO, Buffer.alloc(3))],
      false,
    ],
    [
      'its policy forbids it ("go away")',
      [greeting(), optionReply(STRUCTURED, ACK), optionReply(GO, 0x80000002, Buffer.from("go\u001b\naway"))],
      false,
    ],
    [
      "bytes where it must wait",
      [
        greeting(),
        optionReply(STRUCTURED, ACK),
        EXPORT,
        Buffer.concat([optionReply(GO, ACK), Buffer.from("x")]),
      ],
      false,
    ],
  ])("that fails says why: %s", (reason, parts, isSecure) => {
    // The text of a server is made fit for a terminal: no control characters.
    expect(refusal(() => negotiate(parts, isSecure)).replaceAll(/ +/g, " ")).toContain(reason);
  });

  test("for an unknown export lists those that are there, and counts those that are too many to list", () => {
    const unknown = [greeting(), optionReply(STRUCTURED, ACK), optionReply(GO, 0x80000006)];
    const names = Array.from({ length: 25 }, (_, index) => `e${index}`);

    expect(refusal(() => negotiate([...unknown, listed("a"), listed("b"), optionReply(LIST, ACK)]))).toBe(
      'it refuses the export "disk": there is no such export; it offers "a", "b"',
    );
    expect(refusal(() => negotiate([...unknown, optionReply(LIST, ACK)]))).toContain("it lists no exports");
    expect(refusal(() => negotiate([...unknown, optionReply(LIST, 0x80000002)]))).toContain(
      "does not list its exports",
    );
    expect(refusal(() => negotiate([...unknown, ...names.map(listed), optionReply(LIST, ACK)]))).toMatch(
      /"e19" and 5 more$/,
    );
  });

  test("with a server that lists without end is given up", () => {
    const negotiation = new Negotiation("disk", false);
    const start = [greeting(), optionReply(STRUCTURED, ACK), optionReply(GO, 0x80000006)];
    for (const part of start) negotiation.handle(bytes(part));

    const flood = Array.from({ length: REPLIES_MAX }, () => listed("x"));

    expect(refusal(() => flood.forEach((part) => negotiation.handle(bytes(part))))).toContain("without end");
  });

  test("survives any bytes: it goes on or fails as a protocol error", () => {
    const valid = [
      greeting(),
      optionReply(STRUCTURED, ACK),
      EXPORT,
      blockSizes(1, 4096, 1 << 20),
      listed("a"),
      optionReply(GO, ACK),
    ];
    const part = fc.oneof(
      fc.constantFrom(...valid),
      fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array)),
      fc.tuple(fc.constantFrom(...valid), fc.nat(100), fc.nat(255)).map(([source, at, value]) => {
        const mutated = Buffer.from(source);
        mutated[at % mutated.length] = value;
        return mutated;
      }),
    );

    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.boolean(), (parts, isSecure) => {
        expect(refusal(() => negotiate(parts, isSecure))).toBeTypeOf("string");
      }),
      { numRuns: 1000 },
    );
  });
});

function hex(effect: NegotiationEffect | undefined): string {
  return effect?.type === "send" ? Buffer.from(effect.bytes).toString("hex") : "";
}
