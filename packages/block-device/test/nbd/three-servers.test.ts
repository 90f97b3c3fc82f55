/*
 * What each of the three servers of Debian must do alike, and how they answer.
 */
import { readFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { pattern, sameBytes } from "@holdfast/conformance";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { openNbdDevice } from "../../src/index.ts";
import { describeWith, freePort, NbdWorkplace, type Program, type RunningServer } from "./servers.ts";

const place = new NbdWorkplace();
afterAll(() => place.close());

interface ServerUnderTest {
  readonly program: Program;
  readonly start: () => Promise<{ readonly server: RunningServer; readonly url: string }>;
}

let port = 0;

const SERVERS: readonly ServerUnderTest[] = [
  {
    program: "nbdkit",
    start: async () => ({
      server: await place.nbdkit("nbdkit", ["file", place.image]),
      url: `nbd+unix:///?socket=${place.path("nbdkit")}`,
    }),
  },
  {
    program: "qemu-nbd",
    start: async () => ({
      server: await place.qemu("qemu", ["--export-name", "disk"]),
      url: `nbd+unix:///disk?socket=${place.path("qemu")}`,
    }),
  },
  {
    program: "nbd-server",
    start: async () => {
      port ||= await freePort();
      return {
        server: await place.nbdServer(port, ["flush = true", "fua = true", "trim = true"]),
        url: `nbd://127.0.0.1:${port}/disk`,
      };
    },
  },
];

/** Past a request's greatest length, so that ranges without bytes go whole and others in pieces. */
const LONG_BYTES = 3 * 1024 * 1024;

for (const { program, start } of SERVERS)
  describeWith([program], `an export of ${program}`, () => {
    test("is zeroed and trimmed where it is told to, and keeps what is beside it", async () => {
      await place.clear();
      const { server, url } = await start();
      const device = await openNbdDevice(url);
      const [before, behind] = [pattern(4096, 1), pattern(4096, 2)];
      await device.write(0n, before, { isDurable: true });
      await device.write(4096n, pattern(LONG_BYTES, 3), { isDurable: false });
      await device.write(BigInt(4096 + LONG_BYTES), behind, { isDurable: true });
      await device.flush();

      await device.writeZeroes(4096n, LONG_BYTES);
      const read = new Uint8Array(LONG_BYTES + 8192);
      await device.read(0n, read);
      await device.trim(4096n, LONG_BYTES);
      const edges = [new Uint8Array(4096), new Uint8Array(4096)] as const;
      await device.read(0n, edges[0]);
      await device.read(BigInt(4096 + LONG_BYTES), edges[1]);

      expect(read.subarray(4096, 4096 + LONG_BYTES).every((byte) => byte === 0)).toBe(true);
      for (const [first, last] of [[read.subarray(0, 4096), read.subarray(-4096)], edges] as const)
        expect([sameBytes(first, before), sameBytes(last, behind)]).toEqual([true, true]);
      await device.close();
      await server.end("SIGKILL");
    });

    test("that is killed in the midst of writes and started again has all of them, each answered", async () => {
      await place.clear();
      const { server, url } = await start();
      const lost: unknown[] = [];
      const note = (facts: object): void => void lost.push(facts);
      const log = { debug: note, info: note, warn: note, error: note };
      const device = await openNbdDevice(url, { log });
      const places = Array.from({ length: 800 }, (_, index) => index);
      const answered: number[] = [];

      const writes = places.map(async (index) => {
        await device.write(BigInt(index * 8192), pattern(4096, index), { isDurable: true });
        answered.push(index);
      });
      await writes[5];
      await server.end("SIGKILL");
      const answeredBefore = answered.length;
      const next = await start();
      await Promise.all(writes);

      const image = await readFile(place.image);
      const wrong = places.filter(
        (index) => !sameBytes(image.subarray(index * 8192, index * 8192 + 4096), pattern(4096, index)),
      );
      expect(wrong).toEqual([]);
      expect(answeredBefore).toBeLessThan(places.length);
      expect(lost).toContainEqual(expect.objectContaining({ event: "nbd.reconnected" }));
      await device.close();
      await next.server.end("SIGKILL");
    });
  });

/** What a server says when the first 64 KiB of an export without data are read, in hexadecimal digits. */
async function answersOf(socket: string, exportName = ""): Promise<string> {
  const said: Buffer[] = [];
  const relay = createServer((near) => {
    const far = connect(place.path(socket));
    near.pipe(far);
    far.on("data", (bytes: Buffer) => said.push(bytes));
    far.pipe(near);
    for (const end of [near, far]) end.on("error", () => near.destroy());
  });
  await new Promise<void>((resolve) => {
    relay.listen(place.path(`${socket}-relay`), resolve);
  });
  onTestFinished(() => void relay.close());
  const device = await openNbdDevice(`nbd+unix:///${exportName}?socket=${place.path(`${socket}-relay`)}`);
  const read = new Uint8Array(65_536).fill(1);
  await device.read(0n, read);
  expect(read.every((byte) => byte === 0)).toBe(true);
  await device.close();
  return Buffer.concat(said).toString("hex");
}

const STRUCTURED = "668e33ef";
const SIMPLE = "67446698";

describeWith(["qemu-nbd"], "structured replies of qemu-nbd", () => {
  test("are asked for, and a hole comes as one, without its zeros", async () => {
    await place.clear();
    await place.qemu("holes", ["--export-name", "disk"]);

    const said = await answersOf("holes", "disk");

    expect(said).toMatch(new RegExp(`${STRUCTURED}....0002`));
    expect(said).not.toContain(SIMPLE);
    expect(said.length / 2).toBeLessThan(2000);
  });
});

describeWith(["nbdkit"], "replies of nbdkit", () => {
  test("are structured where it can, and simple where it is told to do without", async () => {
    await place.clear();
    await place.nbdkit("structured", ["file", place.image]);
    await place.nbdkit("simple", ["--no-sr", "file", place.image]);

    expect(await answersOf("structured")).toMatch(new RegExp(`${STRUCTURED}....0001`));
    expect(await answersOf("simple")).toContain(SIMPLE);
  });
});
