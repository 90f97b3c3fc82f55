/*
 * What every `BlockDevice` owes its users, as vitest tests.
 */
import { type BlockDevice, DeviceError } from "@holdfast/environment";
import { describe, expect, test } from "vitest";
import { type Fixture, type FixtureFactory, pattern, sameBytes, withFixture } from "./fixture.ts";

/** A device of {@link SUITE_DEVICE_BYTES} zero bytes that can be opened more than once. */
export interface BlockDeviceFixture extends Fixture {
  /** Opens the device; each call gives another handle of the same device. The suite closes none but those it tests closing of. */
  readonly open: () => Promise<BlockDevice>;
}

/** Size of the device that a fixture provides: 8 MiB, more than one request of any implementation carries. */
export const SUITE_DEVICE_BYTES: number = 8 * 1024 * 1024;

/** Registers the suite of {@link BlockDevice} under `name`. */
export function blockDeviceSuite(name: string, factory: FixtureFactory<BlockDeviceFixture>): void {
  describe(`${name} as a block device`, () => {
    describeContents(factory);
    describeRefusals(factory);
    describeEnd(factory);
  });
}

function describeContents(factory: FixtureFactory<BlockDeviceFixture>): void {
  test("it tells its size, its sector and its URL", () =>
    withDevice(factory, async (device) => {
      expect(device.sizeBytes).toBe(BigInt(SUITE_DEVICE_BYTES));
      expect([512, 4096]).toContain(device.sectorBytes);
      expect(device.url).not.toBe("");
    }));

  test("a fresh device reads as zeros", () =>
    withDevice(factory, async (device, { settle }) => {
      const read = pattern(8192, 1);

      await settle(device.read(0n, read));

      expect(sameBytes(read, new Uint8Array(8192))).toBe(true);
    }));

  test.each([false, true])(
    "what is written is read back, and its neighbours stay (durable: %s)",
    (isDurable) =>
      withDevice(factory, async (device, { settle }) => {
        const [before, written, after] = [pattern(4096, 1), pattern(4096, 2), pattern(4096, 3)];
        await settle(device.write(0n, before, { isDurable }));
        await settle(device.write(8192n, after, { isDurable }));

        await settle(device.write(4096n, written, { isDurable }));

        const read = new Uint8Array(12_288);
        await settle(device.read(0n, read));
        expect(sameBytes(read.subarray(0, 4096), before)).toBe(true);
        expect(sameBytes(read.subarray(4096, 8192), written)).toBe(true);
        expect(sameBytes(read.subarray(8192), after)).toBe(true);
      }),
  );

  test("one sector can be written and read", () =>
    withDevice(factory, async (device, { settle }) => {
      const sector = pattern(device.sectorBytes, 4);
      const offset = BigInt(3 * device.sectorBytes);

      await settle(device.write(offset, sector, { isDurable: true }));

      const read = new Uint8Array(device.sectorBytes);
      await settle(device.read(offset, read));
      expect(sameBytes(read, sector)).toBe(true);
    }));

  test("the last sector can be written and read", () =>
    withDevice(factory, async (device, { settle }) => {
      const sector = pattern(device.sectorBytes, 5);
      const offset = device.sizeBytes - BigInt(device.sectorBytes);

      await settle(device.write(offset, sector, { isDurable: false }));

      const read = new Uint8Array(device.sectorBytes);
      await settle(device.read(offset, read));
      expect(sameBytes(read, sector)).toBe(true);
    }));

  test("memory at any alignment is taken", () =>
    withDevice(factory, async (device, { settle }) => {
      const written = new Uint8Array(4096 + 7).subarray(7);
      written.set(pattern(4096, 6));
      const arena = pattern(4096 + 2, 7);
      const read = arena.subarray(1, 4097);
      const [head, tail] = [arena[0], arena[4097]];

      await settle(device.write(4096n, written, { isDurable: true }));
      await settle(device.read(4096n, read));

      expect(sameBytes(read, written)).toBe(true);
      expect([arena[0], arena[4097]]).toEqual([head, tail]);
    }));

  test("a request as long as the device is carried whole", () =>
    withDevice(factory, async (device, { settle }) => {
      const all = pattern(SUITE_DEVICE_BYTES, 8);

      await settle(device.write(0n, all, { isDurable: false }));

      const read = new Uint8Array(SUITE_DEVICE_BYTES);
      await settle(device.read(0n, read));
      expect(sameBytes(read, all)).toBe(true);
    }));

  test("many requests may be in flight at once", () =>
    withDevice(factory, async (device, { settle }) => {
      const places = Array.from({ length: 96 }, (_, index) => index);

      await settle(
        Promise.all(
          places.map((index) =>
            device.write(offsetOf(index), pattern(4096, index), { isDurable: index % 2 === 0 }),
          ),
        ),
      );

      const reads = places.map(() => new Uint8Array(4096));
      await settle(Promise.all(reads.map((read, index) => device.read(offsetOf(index), read))));
      expect(reads.findIndex((read, index) => !sameBytes(read, pattern(4096, index)))).toBe(-1);
    }));

  test("another handle reads a completed write at once: nothing is cached", () =>
    withDevice(factory, async (device, { settle, open }) => {
      const other = await settle(open());
      const read = new Uint8Array(4096);
      await settle(other.read(0n, read));

      await settle(device.write(0n, pattern(4096, 9), { isDurable: false }));
      await settle(other.read(0n, read));

      expect(sameBytes(read, pattern(4096, 9))).toBe(true);
      await settle(other.close());
    }));

  test("once a write has settled, its memory is the caller's again", () =>
    withDevice(factory, async (device, { settle }) => {
      const memory = pattern(4096, 10);
      await settle(device.write(0n, memory, { isDurable: false }));

      memory.fill(0xee);

      const read = new Uint8Array(4096);
      await settle(device.read(0n, read));
      expect(sameBytes(read, pattern(4096, 10))).toBe(true);
    }));

  test("a flush resolves, with and without writes before it", () =>
    withDevice(factory, async (device, { settle }) => {
      await expect(settle(device.flush())).resolves.toBeUndefined();
      await settle(device.write(0n, pattern(4096, 11), { isDurable: false }));
      await expect(settle(device.flush())).resolves.toBeUndefined();
    }));

  test("a request of no bytes does nothing", () =>
    withDevice(factory, async (device, { settle }) => {
      await expect(settle(device.read(0n, new Uint8Array(0)))).resolves.toBeUndefined();
      await expect(settle(device.write(0n, new Uint8Array(0), { isDurable: true }))).resolves.toBeUndefined();
    }));
}

/** Where one of many requests goes. */
function offsetOf(index: number): bigint {
  return BigInt(index * 7 * 4096);
}

function describeRefusals(factory: FixtureFactory<BlockDeviceFixture>): void {
  const outside: readonly [string, bigint, number][] = [
    ["behind the end", BigInt(SUITE_DEVICE_BYTES), 4096],
    ["over the end", BigInt(SUITE_DEVICE_BYTES - 4096), 8192],
    ["before the start", -4096n, 4096],
    ["at an offset inside a sector", 100n, 4096],
    ["of a length that is no multiple of the sector", 0n, 100],
  ];

  test.each(outside)("a request %s is refused and changes nothing", (_, offset, length) =>
    withDevice(factory, async (device, { settle }) => {
      const code = "ERR_HOLDFAST_DEVICE_RANGE";
      const facts = { device: device.url, offsetBytes: offset, lengthBytes: length };

      const read = device.read(offset, new Uint8Array(length));
      await expect(settle(read)).rejects.toMatchObject({ code, facts });
      const write = device.write(offset, pattern(length, 12), { isDurable: true });
      await expect(settle(write)).rejects.toMatchObject({ code, facts });

      const all = new Uint8Array(SUITE_DEVICE_BYTES);
      await settle(device.read(0n, all));
      expect(sameBytes(all, new Uint8Array(SUITE_DEVICE_BYTES))).toBe(true);
    }),
  );
}

function describeEnd(factory: FixtureFactory<BlockDeviceFixture>): void {
  test("a closed device refuses everything, and closing again does nothing", () =>
    withFixture(factory, async (fixture) => {
      const { settle } = fixture;
      const device = await settle(fixture.open());

      await settle(device.close());
      await settle(device.close());

      const closed = { code: "ERR_HOLDFAST_DEVICE_CLOSED" };
      await expect(settle(device.read(0n, new Uint8Array(4096)))).rejects.toMatchObject(closed);
      const write = device.write(0n, new Uint8Array(4096), { isDurable: false });
      await expect(settle(write)).rejects.toMatchObject(closed);
      await expect(settle(device.flush())).rejects.toBeInstanceOf(DeviceError);
    }));

  test("closing one handle leaves the others usable", () =>
    withDevice(factory, async (device, { settle, open }) => {
      const other = await settle(open());

      await settle(other.close());

      await expect(settle(device.read(0n, new Uint8Array(4096)))).resolves.toBeUndefined();
    }));

  test("requests in flight when the device is closed settle", () =>
    withFixture(factory, async (fixture) => {
      const { settle } = fixture;
      const device = await settle(fixture.open());

      const requests = Promise.allSettled([
        device.write(0n, pattern(4096, 13), { isDurable: true }),
        device.read(0n, new Uint8Array(4096)),
      ]);
      await settle(device.close());

      await expect(settle(requests)).resolves.toHaveLength(2);
    }));
}

function withDevice(
  factory: FixtureFactory<BlockDeviceFixture>,
  body: (device: BlockDevice, fixture: BlockDeviceFixture) => Promise<void>,
): Promise<void> {
  return withFixture(factory, async (fixture) => {
    const device = await fixture.settle(fixture.open());
    try {
      await body(device, fixture);
    } finally {
      await fixture.settle(device.close());
    }
  });
}
