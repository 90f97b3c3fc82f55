import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type KeptBody, Outbox } from "../src/outbox.ts";

test("a side at rest keeps no memory for a request that was acknowledged by its own answer", () => {
  const kept: KeptBody = { chunk: undefined, bodyOffset: 0, bodyBytes: 0, ownBody: undefined };
  const outbox = new Outbox((id) => (id === 1 ? kept : undefined));
  const body = new Uint8Array(1024 * 1024);
  outbox.keep(kept, outbox.append({ id: 1, command: 1, error: 0, flags: 0 }, body), body.length);
  outbox.drain(0, () => true);

  outbox.acknowledge(1);
  outbox.trim();
  expect(outbox.keptBytes).toBeGreaterThan(body.length);
  outbox.drop(kept);
  outbox.trim();

  expect(outbox.keptBytes).toBe(0);
  outbox.append({ id: 2, command: 1, error: 0, flags: 0 }, body);
  expect([outbox.hasUnsent, outbox.lastSeq]).toEqual([true, 2]);
});

test("a side at rest keeps what it has not sent, behind what was acknowledged", () => {
  const kept: KeptBody = { chunk: undefined, bodyOffset: 0, bodyBytes: 0, ownBody: undefined };
  const outbox = new Outbox(() => kept);
  const body = new Uint8Array(4000);
  const sent: number[] = [];
  outbox.keep(kept, outbox.append({ id: 1, command: 1, error: 0, flags: 0 }, body), body.length);
  outbox.drain(0, () => true);
  outbox.acknowledge(1);
  outbox.drop(kept);
  outbox.append({ id: 2, command: 1, error: 0, flags: 1 }, body);

  outbox.trim();
  outbox.drain(0, (bytes) => sent.push(bytes.length) > 0);

  expect(sent).toEqual([32, 4016]);
});

test("the bytes that are said to wait are those that leave, whatever was acknowledged or begun again", () => {
  const step = fc.oneof(
    fc.nat(9000),
    fc.constantFrom("drain", "drain once", "acknowledge", "rewind", "trim", "clear"),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const outbox = new Outbox(() => undefined);
      for (const step of steps) {
        if (typeof step === "number")
          outbox.append({ id: 1, command: 1, error: 0, flags: 1 }, new Uint8Array(step));
        else if (step === "acknowledge")
          outbox.acknowledge(Math.ceil((outbox.acknowledgedSeq + outbox.lastSeq) / 2));
        else if (step === "rewind" || step === "trim" || step === "clear") outbox[step]();
        else drained(outbox, step === "drain");
      }

      const waitingBytes = outbox.unsentBytes;
      expect(outbox.hasUnsent).toBe(waitingBytes > 0);
      expect(drained(outbox, true)).toBe(waitingBytes);
      expect(outbox.unsentBytes).toBe(0);
    }),
  );
});

/** Bytes of the frames that leave. */
function drained(outbox: Outbox, isAll: boolean): number {
  let bytes = 0;
  let isHeader = false;
  outbox.drain(0, ({ length }) => {
    isHeader = !isHeader;
    if (!isHeader) bytes += length;
    return isAll;
  });
  return bytes;
}
