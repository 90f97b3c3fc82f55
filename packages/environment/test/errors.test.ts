import { expect, test } from "vitest";
import {
  blockOffset,
  DeviceError,
  HoldfastError,
  invariant,
  InvariantError,
  TransportError,
  utf8,
} from "../src/index.ts";

test("a device error names device, offset and cause and says that it is one of I/O", () => {
  const cause = new Error("EIO");

  const error = new DeviceError(
    "ERR_HOLDFAST_DEVICE_READ",
    "cannot read",
    { device: "/dev/x", offsetBytes: 4096n, lengthBytes: 512 },
    { cause },
  );

  expect(error).toBeInstanceOf(HoldfastError);
  expect(error).toMatchObject({
    name: "DeviceError",
    code: "ERR_HOLDFAST_DEVICE_READ",
    category: "io",
    facts: { device: "/dev/x", offsetBytes: 4096n, lengthBytes: 512 },
    cause,
  });
});

test("only a dial that failed may be tried again by a library", () => {
  expect(new TransportError("ERR_HOLDFAST_DIAL", "refused", "tcp://h:1").category).toBe("retry");
  expect(new TransportError("ERR_HOLDFAST_ADDRESS_IN_USE", "in use", "tcp://h:1").category).toBe("usage");
});

test("a broken invariant is no operating error", () => {
  expect(() => invariant(false, "one is two")).toThrow(InvariantError);
  expect(() => invariant(false, "one is two")).toThrow("invariant broken: one is two");
  expect(() => invariant(false, "one is two")).not.toThrow(HoldfastError);
  expect(() => invariant(true, "one is one")).not.toThrow();
});

test("text comes back from UTF-8 as it was, with its byte order mark, and malformed bytes are refused", () => {
  const text = "\uFEFFgrüße 🗝";

  expect(utf8.decode(utf8.encode(text))).toBe(text);
  expect(() => utf8.decode(new Uint8Array([0xc3]))).toThrow(TypeError);
});

test("a block's offset is exact beyond what a number holds", () => {
  expect(blockOffset(2n ** 50n + 1n)).toBe((2n ** 50n + 1n) * 4096n);
});
