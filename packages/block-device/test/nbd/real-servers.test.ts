/*
 * The client against the three servers of Debian: the port's suite on each, and what only a real server shows.
 */
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import {
  type BlockDeviceFixture,
  blockDeviceSuite,
  pattern,
  sameBytes,
  settleByWaiting,
} from "@holdfast/conformance";
import { SILENT_LOGGER } from "@holdfast/environment";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBlockDevice, openNbdDevice } from "../../src/index.ts";
import { describeWith, freePort, NbdWorkplace } from "./servers.ts";

const place = new NbdWorkplace();
afterAll(() => place.close());

function unixUrl(name: string, query = "", exportName = ""): string {
  return `nbd+unix:///${exportName}?socket=${place.path(name)}${query}`;
}

async function fixture(url: string): Promise<BlockDeviceFixture> {
  await place.clear();
  return { open: () => openBlockDevice(url), settle: settleByWaiting, dispose: async () => {} };
}

describeWith(["nbdkit"], "nbdkit", () => {
  beforeAll(async () => {
    await place.clear();
    await place.nbdkit("nbdkit", ["file", place.image]);
  });

  blockDeviceSuite("an export of nbdkit", () => fixture(unixUrl("nbdkit")));
  blockDeviceSuite("an export over four connections", () => fixture(unixUrl("nbdkit", "&connections=4")));
});

describeWith(["nbdkit"], "a server without FUA", () => {
  beforeAll(async () => {
    await place.clear();
    await place.nbdkit("no-fua", ["--filter=fua", "file", place.image]);
  });

  blockDeviceSuite("an export that makes writes durable by flushes", () => fixture(unixUrl("no-fua")));
});

describeWith(["nbdkit"], "limits of a server's blocks", () => {
  test("requests longer than the server takes are split, and its smallest block is the sector", async () => {
    await place.clear();
    const limits = ["blocksize-minimum=4096", "blocksize-preferred=65536", "blocksize-maximum=65536"];
    const policy = [
      "--filter=blocksize-policy",
      "file",
      place.image,
      ...limits,
      "blocksize-error-policy=error",
    ];
    await place.nbdkit("blocks", policy);
    const device = await openBlockDevice(unixUrl("blocks"));

    expect(device.sectorBytes).toBe(4096);
    await device.write(4096n, pattern(1_000_000 - (1_000_000 % 4096), 2), { isDurable: true });
    const unaligned = device.write(512n, pattern(512, 3), { isDurable: true });
    await expect(unaligned).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_RANGE",
      message: expect.stringContaining("whole sectors of 4096 bytes") as unknown,
    });

    await device.close();
  });
});

describeWith(["nbdkit"], "exports that cannot be shared", () => {
  test("an export that does not promise one content to several connections is refused, with a way out", async () => {
    await place.clear();
    const args = ["--filter=multi-conn", "file", place.image, "multi-conn-mode=disable"];
    await place.nbdkit("lonely", args);

    await expect(openBlockDevice(unixUrl("lonely"))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_OPEN",
      message: expect.stringMatching(/MULTI_CONN.*nbdkit: .*qemu-nbd: .*nbd-server: /) as unknown,
    });
  });

  test("a read-only export opens for reading only", async () => {
    await place.clear();
    await place.nbdkit("read-only", ["--readonly", "file", place.image]);

    await expect(openBlockDevice(unixUrl("read-only"))).rejects.toMatchObject({
      message: expect.stringContaining("the export is read-only") as unknown,
    });
    const device = await openBlockDevice(unixUrl("read-only"), { isReadOnly: true });
    await device.read(0n, new Uint8Array(4096));
    const write = device.write(0n, new Uint8Array(4096), { isDurable: true });
    await expect(write).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_WRITE" });
    await device.flush();
    await device.close();
  });
});

describeWith(["nbdkit"], "errors of a server", () => {
  test("its error is named, with its number in the cause; reads go on, and so do writes once it is mended", async () => {
    await place.clear();
    const trigger = place.path("trigger");
    const errors = ["error=ENOSPC", "error-pwrite-rate=100%", `error-pwrite-file=${trigger}`];
    await place.nbdkit("errors", ["--filter=error", "file", place.image, ...errors]);
    const device = await openBlockDevice(unixUrl("errors"));
    await writeFile(trigger, "");

    await expect(device.write(8192n, pattern(4096, 4), { isDurable: true })).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_WRITE",
      facts: { offsetBytes: 8192n, lengthBytes: 4096 },
      cause: { code: "ERR_HOLDFAST_NBD_SERVER", facts: { errno: "ENOSPC", number: 28 } },
    });
    await device.read(0n, new Uint8Array(4096));
    await rm(trigger);
    await device.write(8192n, pattern(4096, 4), { isDurable: true });

    await device.close();
  });
});

describeWith(["nbdkit"], "a server that is killed", () => {
  test.each([1, 4])(
    "and started again in the midst of writes answers all of them (%i connections)",
    async (count) => {
      await place.clear();
      const args = ["--filter=delay", "file", place.image, "delay-write=2ms"];
      const server = await place.nbdkit("killed", args);
      const device = await openBlockDevice(unixUrl("killed", `&connections=${count}`));
      const places = Array.from({ length: 600 }, (_, index) => index);

      const writes = places.map((index) =>
        device.write(BigInt(index * 8192), pattern(4096, index), { isDurable: true }),
      );
      await writes[40];
      await server.end("SIGKILL");
      const next = await place.nbdkit("killed", ["file", place.image]);
      await Promise.all(writes);

      const image = await readFile(place.image);
      const wrong = places.filter(
        (index) => !sameBytes(image.subarray(index * 8192, index * 8192 + 4096), pattern(4096, index)),
      );
      expect(wrong).toEqual([]);
      await device.close();
      await next.end();
    },
  );

  test("what was answered is on the device, though the server kept writes back until told to store them", async () => {
    await place.clear();
    const args = [
      "--filter=multi-conn",
      "--filter=cache",
      "file",
      place.image,
      "cache=writeback",
      "multi-conn-mode=emulate",
    ];
    const server = await place.nbdkit("cached", args);
    const device = await openBlockDevice(unixUrl("cached"));

    await device.write(4096n, pattern(4096, 5), { isDurable: false });
    await server.end("SIGKILL");

    const image = await readFile(place.image);
    expect(sameBytes(image.subarray(4096, 8192), pattern(4096, 5))).toBe(true);
    await device.close();
  });
});

describeWith(["nbdkit"], "a server that stands still", () => {
  test("answers what waits once it goes on, though its connections were replaced meanwhile", async () => {
    await place.clear();
    const control = place.path("control");
    const args = ["--filter=pause", "file", place.image, `pause-control=${control}`];
    await place.nbdkit("paused", args);
    let lost = (): void => {};
    const isLost = new Promise<void>((resolve) => {
      lost = resolve;
    });
    const log = { ...SILENT_LOGGER, warn: () => lost() };
    const device = await openNbdDevice(unixUrl("paused"), { requestTimeoutMs: 100, log });
    const read = new Uint8Array(4096);

    await tell(control, "p");
    const requests = [device.write(4096n, pattern(4096, 6), { isDurable: true }), device.read(0n, read)];
    await isLost;
    await tell(control, "r");
    await Promise.all(requests);

    await device.read(4096n, read);
    expect(sameBytes(read, pattern(4096, 6))).toBe(true);
    await device.close();
  });
});

/** Sends one command to nbdkit's pause filter and waits until it is done: it answers in capitals. */
async function tell(control: string, command: "p" | "r"): Promise<void> {
  const socket = connect(control);
  socket.write(command);
  const [answer] = (await once(socket, "data")) as [Buffer];
  expect(answer.toString()).toBe(command.toUpperCase());
  socket.destroy();
}

describeWith(["qemu-nbd"], "qemu-nbd", () => {
  beforeAll(async () => {
    await place.clear();
    await place.qemu("qemu", ["--export-name", "disk"]);
  });

  blockDeviceSuite("an export of qemu-nbd", () => fixture(unixUrl("qemu", "", "disk")));

  test("an export that is not there is refused with the names of those that are", async () => {
    await expect(openBlockDevice(unixUrl("qemu", "", "disc"))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_OPEN",
      message: expect.stringMatching(/refuses the export "disc".*it offers "disk"/) as unknown,
    });
  });
});

describeWith(["qemu-nbd"], "qemu-nbd for one client", () => {
  test("cannot be shared", async () => {
    await place.clear();
    await place.qemu("alone", ["--shared=1"]);

    await expect(openBlockDevice(unixUrl("alone"))).rejects.toMatchObject({
      message: expect.stringContaining("MULTI_CONN") as unknown,
    });
  });
});

describeWith(["nbd-server"], "nbd-server that stores nothing on demand", () => {
  test("is refused, with the lines that mend it", async () => {
    await place.clear();
    const port = await freePort();
    const server = await place.nbdServer(port, []);

    await expect(openBlockDevice(`nbd://127.0.0.1:${port}/disk`)).rejects.toMatchObject({
      message: expect.stringContaining("set flush = true and fua = true") as unknown,
    });
    await server.end();
  });
});

describeWith(["nbd-server"], "nbd-server", () => {
  let port = 0;
  beforeAll(async () => {
    await place.clear();
    port = await freePort();
    await place.nbdServer(port, ["flush = true", "fua = true", "trim = true"]);
  });

  blockDeviceSuite("an export of nbd-server", () => fixture(`nbd://127.0.0.1:${port}/disk`));

  test("an export that is not there is refused with the names of those that are", async () => {
    await expect(openBlockDevice(`nbd://127.0.0.1:${port}/disc`)).rejects.toMatchObject({
      message: expect.stringMatching(/refuses the export "disc".*it offers "disk"/) as unknown,
    });
  });
});

describe("a place without a server", () => {
  test("is named", async () => {
    await expect(openBlockDevice(unixUrl("nobody"))).rejects.toMatchObject({
      code: "ERR_HOLDFAST_DEVICE_OPEN",
      message: expect.stringContaining(
        `no NBD server listens at ${place.path("nobody")} (ENOENT)`,
      ) as unknown,
    });
  });
});
