import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { REFUSAL, StreamError } from "../../src/index.ts";
import { DueFrame } from "../../src/streams/due-frame.ts";
import { STREAM_FRAME, STREAM_HEADER_BYTES, streamFrame } from "../../src/streams/stream-frames.ts";
import { StreamGreeting, StreamWelcome } from "../../src/streams/stream-greeting-layouts.ts";
import {
  judgeStreamGreeting,
  judgeStreamWelcome,
  streamGreeting,
  streamWelcome,
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
  return frame.subarray(STREAM_HEADER_BYTES);
}

describe("a greeting", () => {
  const greeting = payload(streamGreeting(caller, key, challenge, NO_SECRET));

  test("is taken for the challenge that it answers, and played back on another connection it is not", () => {
    expect(judgeStreamGreeting(greeting, key, challenge, () => NO_SECRET)).toBe(0);
    expect(judgeStreamGreeting(greeting, key, other, () => NO_SECRET)).toBe(REFUSAL.BAD_PROOF);
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
    const rightful = payload(streamGreeting(called, key, challenge, secret));
    const guessed = payload(streamGreeting(called, key, challenge, new Uint8Array(32)));

    expect(judgeStreamGreeting(rightful, key, challenge, () => secret)).toBe(0);
    expect(judgeStreamGreeting(guessed, key, challenge, () => secret)).toBe(REFUSAL.BAD_PROOF);
    expect(judgeStreamGreeting(guessed, key, challenge, () => undefined)).not.toBe(0);
  });
});

/** What a greeting is refused with, or the code of the error that it makes. */
function outcomeOf(greeting: Uint8Array): unknown {
  try {
    return judgeStreamGreeting(greeting, key, challenge, () => NO_SECRET);
  } catch (error) {
    return error instanceof StreamError ? error.code : 0;
  }
}

describe("a welcome", () => {
  test("of whoever does not know the key is not believed, whatever it says", () => {
    for (const refusal of [0, REFUSAL.EVICTED]) {
      const forged = payload(streamWelcome(refusal, stranger, [mine, challenge]));

      expect(judgeStreamWelcome(forged, key, [mine, challenge])).toBe(REFUSAL.BAD_PROOF);
    }
  });

  test("is good for its own connection only", () => {
    const welcome = payload(streamWelcome(0, key, [mine, challenge]));

    expect(judgeStreamWelcome(welcome, key, [mine, challenge])).toBe(0);
    expect(judgeStreamWelcome(welcome, key, [mine, other])).toBe(REFUSAL.BAD_PROOF);
    expect(welcome).toHaveLength(StreamWelcome.sizeBytes);
  });
});

describe("the frame that is due", () => {
  test("comes together from single bytes, and what follows it is left", () => {
    const due = new DueFrame(STREAM_FRAME.GREETING, StreamGreeting.sizeBytes);
    const frame = streamGreeting(caller, key, challenge, NO_SECRET);

    for (const byte of frame.subarray(0, -1)) expect(due.take(Uint8Array.of(byte))).toBe(1);
    expect(due.payload()).toBeUndefined();
    expect(due.take(Uint8Array.of(frame.at(-1) ?? 0, 1, 2))).toBe(1);

    expect(due.payload()).toEqual(payload(frame));
  });

  test.each([
    ["another frame", streamFrame(STREAM_FRAME.ALIVE)],
    ["a frame of data", streamFrame(STREAM_FRAME.DATA, 0, new Uint8Array(10))],
    ["no frame at all", new Uint8Array(200).fill(0x41)],
  ])("is not %s, which is known at its header", (_, bytes) => {
    const due = new DueFrame(STREAM_FRAME.GREETING, StreamGreeting.sizeBytes);

    expect(() => due.take(bytes.subarray(0, STREAM_HEADER_BYTES))).toThrow("the stream is damaged");
  });
});
