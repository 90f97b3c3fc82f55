import { createHmac } from "node:crypto";
import { HoldfastError } from "@holdfast/environment";
import { BATCH_HEADER_BYTES, LONE_FRAME_BYTES } from "@holdfast/wire-format";
import { describe, expect, test } from "vitest";
import {
  COMMAND_GREETING,
  COMMAND_STREAM_GREETING,
  GREETING_FRAME_BYTES,
  PROTOCOL_VERSION,
  REFUSAL,
  SessionError,
  StreamWelcome,
  decodeGreetingPart,
  greetingFrame,
} from "../../src/index.ts";
import { FirstFrame } from "../../src/first-frame.ts";
import { StreamGreeting } from "../../src/streams/stream-greeting-layouts.ts";
import {
  STREAM_GREETING_FRAME_BYTES,
  judgeStreamGreeting,
  judgeStreamWelcome,
  streamGreetingFrame,
  streamWelcomeFrame,
} from "../../src/streams/stream-greeting.ts";

const key = {
  identity: { key: new Uint8Array(32).fill(1), fsid: 7n, formatHash: 9n },
  cryptography: {
    hmacSha256: (secret: Uint8Array, message: Uint8Array): Uint8Array =>
      createHmac("sha256", secret).update(message).digest(),
  },
};
const stranger = { ...key, identity: { ...key.identity, key: new Uint8Array(32).fill(2) } };
const [challenge, other, mine] = [1, 2, 3].map((value) => new Uint8Array(32).fill(value)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
];
const NO_SECRET = new Uint8Array(0);
const caller = { rid: 5n, term: 2n, ticket: 0, nonce: mine };

function payload(frame: Uint8Array): Uint8Array {
  return frame.subarray(LONE_FRAME_BYTES);
}

describe("a greeting", () => {
  const greeting = payload(streamGreetingFrame(caller, key, challenge, NO_SECRET));

  test("is taken for the challenge that it answers, and played back on another connection it is not", () => {
    expect(judge(greeting, key, challenge, () => NO_SECRET)).toBe(0);
    expect(judge(greeting, key, other, () => NO_SECRET)).toBe(REFUSAL.BAD_PROOF);
  });

  test("proves each of its bytes", () => {
    for (let at = 0; at < greeting.length; at += 1) {
      const changed = greeting.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;

      expect(outcomeOf(changed)).not.toBe(0);
    }
  });

  test("with a ticket needs the ticket's secret", () => {
    const secret = new Uint8Array(32).fill(9);
    const called = { ...caller, ticket: 1 };
    const rightful = payload(streamGreetingFrame(called, key, challenge, secret));
    const guessed = payload(streamGreetingFrame(called, key, challenge, new Uint8Array(32)));

    expect(judge(rightful, key, challenge, () => secret)).toBe(0);
    expect(judge(guessed, key, challenge, () => secret)).toBe(REFUSAL.BAD_PROOF);
    expect(judge(guessed, key, challenge, () => undefined)).not.toBe(0);
  });
});

function judge(greeting: Uint8Array, ...rest: Tail<Parameters<typeof judgeStreamGreeting>>): number {
  return judgeStreamGreeting(decodeGreetingPart(StreamGreeting, greeting), greeting, ...rest);
}

/** What a greeting is refused with, or the code of the error that it makes. */
function outcomeOf(greeting: Uint8Array): unknown {
  try {
    return judge(greeting, key, challenge, () => NO_SECRET);
  } catch (error) {
    return error instanceof SessionError ? error.code : 0;
  }
}

type Tail<T> = T extends [unknown, unknown, ...infer Rest] ? Rest : never;

describe("a welcome", () => {
  test("of whoever does not know the key is not believed, whatever it says", () => {
    for (const refusal of [0, REFUSAL.EVICTED]) {
      const forged = payload(streamWelcomeFrame(refusal, stranger, { client: mine, server: challenge }));

      expect(judgeStreamWelcome(forged, key, { client: mine, server: challenge })).toBe(REFUSAL.BAD_PROOF);
    }
  });

  test("is good for its own connection only", () => {
    const welcome = payload(streamWelcomeFrame(0, key, { client: mine, server: challenge }));

    expect(judgeStreamWelcome(welcome, key, { client: mine, server: challenge })).toBe(0);
    expect(judgeStreamWelcome(welcome, key, { client: mine, server: other })).toBe(REFUSAL.BAD_PROOF);
    expect(welcome).toHaveLength(StreamWelcome.sizeBytes);
  });
});

describe("the first frame of a connection", () => {
  const frame = streamGreetingFrame(caller, key, challenge, NO_SECRET);
  const sessions = greetingFrame(
    {
      version: PROTOCOL_VERSION,
      fsid: 7n,
      formatHash: 9n,
      rid: 5n,
      term: 2n,
      attempt: 1,
      recvSeq: 0,
      isVoter: false,
      isLeaving: false,
      nonce: mine,
    },
    challenge,
    key.identity.key,
    key.cryptography,
  );
  const due = [
    { command: COMMAND_GREETING, frameBytes: GREETING_FRAME_BYTES },
    { command: COMMAND_STREAM_GREETING, frameBytes: STREAM_GREETING_FRAME_BYTES },
  ];

  test.each([
    ["a stream's", frame, COMMAND_STREAM_GREETING],
    ["a session's", sessions, COMMAND_GREETING],
  ])(
    "says itself that it is %s, comes together from single bytes, and what follows it is left",
    (_, bytes, command) => {
      const first = new FirstFrame(...due);

      for (const byte of bytes.subarray(0, -1)) expect(first.take(Uint8Array.of(byte))).toBe(1);
      expect(first.frame()).toBeUndefined();
      expect(first.take(Uint8Array.of(bytes.at(-1) ?? 0, 1, 2))).toBe(1);

      expect(first.frame()).toMatchObject({ command, body: payload(bytes) });
    },
  );

  test.each([
    ["a frame of another length", streamWelcomeFrame(0, key, { client: mine, server: challenge })],
    ["no frame at all", new Uint8Array(200).fill(0x41)],
  ])("is not %s, which is known at its header", (_, bytes) => {
    const first = new FirstFrame(...due);

    expect(() => first.take(bytes.subarray(0, BATCH_HEADER_BYTES))).toThrow(HoldfastError);
  });
});
