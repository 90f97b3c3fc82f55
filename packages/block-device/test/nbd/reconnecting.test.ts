/*
 * What happens to requests when their connection does not answer, ends, or speaks nonsense.
 */
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pattern, sameBytes } from "@holdfast/conformance";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";
import { openNbdDevice, type NbdDevice, type NbdOptions } from "../../src/index.ts";
import { IN_FLIGHT_COUNT_MAX } from "../../src/nbd/connection.ts";
import { PIECES_WAITING_MAX } from "../../src/nbd/nbd-device.ts";
import { COMMAND, ESHUTDOWN } from "../../src/nbd/protocol.ts";
import {
  SCRIPTED_EXPORT,
  type ScriptedExport,
  type ScriptedRequest,
  startScriptedServer,
} from "./scripted-server.ts";

const directory = mkdtempSync(join(tmpdir(), "hf-nbd-"));
afterAll(() => rm(directory, { recursive: true }));
let serial = 0;

/** Short enough for a test, long enough for a busy machine where no limit is wanted. */
const FOR_EVER_MS = 60_000;

async function openScripted(
  handle: (request: ScriptedRequest) => void,
  options: NbdOptions = {},
  exportOf: (connection: number) => ScriptedExport = () => SCRIPTED_EXPORT,
): Promise<{ readonly device: NbdDevice; readonly requests: readonly ScriptedRequest[] }> {
  const path = join(directory, `s${(serial += 1)}`);
  const requests: ScriptedRequest[] = [];
  const server = await startScriptedServer(path, exportOf, (request) => {
    requests.push(request);
    handle(request);
  });
  onTestFinished(() => server.close());
  const limits = { requestTimeoutMs: FOR_EVER_MS, giveUpMs: FOR_EVER_MS };
  const device = await openNbdDevice(`nbd+unix:///?socket=${path}`, { ...limits, ...options });
  onTestFinished(() => device.close());
  return { device, requests };
}

function obey({ peer, cookie, command, length }: ScriptedRequest): void {
  peer.answer(cookie, 0, command === COMMAND.read ? new Uint8Array(length).fill(7) : new Uint8Array(0));
}

function numbersOf(requests: readonly ScriptedRequest[], command: number): readonly number[] {
  return requests.filter((request) => request.command === command).map(({ peer }) => peer.number);
}

test("when the server ends a connection, everything it had not answered is asked again, the same bytes to the same place", async () => {
  const { device, requests } = await openScripted((request) => {
    if (request.peer.number > 0) obey(request);
    else if (requests.length === 3) request.peer.socket.destroy();
  });
  const read = new Uint8Array(512);

  await Promise.all([
    device.write(512n, pattern(512, 1), { isDurable: true }),
    device.write(4096n, pattern(8192, 2), { isDurable: true }),
    device.read(0n, read),
  ]);

  expect(read.every((byte) => byte === 7)).toBe(true);
  const [first, again] = [requests.slice(0, 3), requests.slice(3)];
  expect(again.map(({ offset }) => offset)).toEqual(first.map(({ offset }) => offset));
  expect(again.every(({ payload }, index) => sameBytes(payload, first[index]?.payload ?? payload))).toBe(
    true,
  );
});

test("a read that is not answered in time is asked over a new connection", async () => {
  const { device, requests } = await openScripted(
    (request) => {
      if (request.peer.number > 0) obey(request);
    },
    { requestTimeoutMs: 40 },
  );
  const read = new Uint8Array(512);

  await device.read(0n, read);

  expect(read.every((byte) => byte === 7)).toBe(true);
  expect(numbersOf(requests, COMMAND.read)).toEqual([0, 1]);
});

test("a write that is not answered in time is not repeated while the server may still carry out the first", async () => {
  let held: ScriptedRequest | undefined;
  const { device, requests } = await openScripted(
    (request) => {
      if (request.command === COMMAND.write && request.peer.number === 0) held = request;
      else obey(request);
    },
    { requestTimeoutMs: 40 },
  );
  const write = device.write(0n, pattern(512, 3), { isDurable: true });

  // Once reads come over the next connection, the first one was given up for them.
  await vi.waitFor(async () => {
    await device.read(0n, new Uint8Array(512));
    expect(numbersOf(requests, COMMAND.read)).toContain(1);
  });
  expect(numbersOf(requests, COMMAND.write)).toEqual([0]);
  held?.peer.answer(held.cookie, 0);
  await write;

  expect(numbersOf(requests, COMMAND.write)).toEqual([0]);
});

test("such a write is repeated once the server has ended the first connection", async () => {
  let held: ScriptedRequest | undefined;
  const { device, requests } = await openScripted(
    (request) => {
      if (request.command === COMMAND.write && request.peer.number === 0) held = request;
      else obey(request);
    },
    { requestTimeoutMs: 40 },
  );
  const write = device.write(0n, pattern(512, 4), { isDurable: true });
  await vi.waitFor(async () => {
    await device.read(0n, new Uint8Array(512));
    expect(numbersOf(requests, COMMAND.read)).toContain(1);
  });

  held?.peer.socket.end();
  await write;

  expect(numbersOf(requests, COMMAND.write)).toEqual([0, 1]);
});

test("after nonsense from the server the connection is cut: reads are repeated, a write's fate is unknown", async () => {
  const { device, requests } = await openScripted((request) => {
    if (request.peer.number > 0) obey(request);
    else if (requests.length === 2) request.peer.socket.write("HTTP/1.1 400 Bad Request\r\n");
  });
  const write = device.write(0n, pattern(512, 5), { isDurable: true });
  const read = device.read(512n, new Uint8Array(512));

  await expect(write).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DEVICE_WRITE",
    facts: { offsetBytes: 0n, lengthBytes: 512 },
    cause: { code: "ERR_HOLDFAST_NBD_PROTOCOL" },
  });
  await read;
});

test("what a server that shuts down refuses is asked of its successor", async () => {
  const { device, requests } = await openScripted((request) => {
    if (request.peer.number > 0) obey(request);
    else request.peer.answer(request.cookie, ESHUTDOWN);
  });

  await device.write(0n, pattern(512, 6), { isDurable: true });

  expect(numbersOf(requests, COMMAND.write)).toEqual([0, 1]);
});

test("a request that nobody answers fails at its limit; a later one succeeds when the server is back", async () => {
  let isSilent = true;
  const { device } = await openScripted(
    (request) => {
      if (!isSilent) obey(request);
    },
    { requestTimeoutMs: 30, giveUpMs: 120 },
  );

  await expect(device.read(0n, new Uint8Array(512))).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DEVICE_READ",
    message: expect.stringContaining("did not answer within 30 ms") as unknown,
  });
  await expect(device.write(0n, pattern(512, 7), { isDurable: true })).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DEVICE_WRITE",
  });
  isSilent = false;
  await device.read(0n, new Uint8Array(512));
});

test("a server that comes back with another size is not used, and the error says so", async () => {
  const { device } = await openScripted(
    ({ peer }) => peer.socket.destroy(),
    { giveUpMs: 200 },
    (number) => (number === 0 ? SCRIPTED_EXPORT : { ...SCRIPTED_EXPORT, sizeBytes: 1n << 21n }),
  );

  await expect(device.read(0n, new Uint8Array(512))).rejects.toMatchObject({
    message: expect.stringContaining("it exports 2097152 bytes now, 1048576 before") as unknown,
  });
});

test("closing settles what nobody answers", async () => {
  const { device } = await openScripted(
    ({ peer }) => peer.socket.destroy(),
    { giveUpMs: 200 },
    (number) => (number === 0 ? SCRIPTED_EXPORT : { ...SCRIPTED_EXPORT, sizeBytes: 0n }),
  );

  const [write] = await Promise.allSettled([
    device.write(0n, pattern(512, 8), { isDurable: true }),
    device.close(),
  ]);

  expect(write).toMatchObject({ status: "rejected", reason: { code: "ERR_HOLDFAST_DEVICE_WRITE" } });
});

test("lost connections and their return are logged", async () => {
  const events: unknown[] = [];
  const note = (facts: object): void => void events.push("event" in facts ? facts.event : undefined);
  const { device } = await openScripted(
    (request) => {
      if (request.peer.number > 0) obey(request);
      else request.peer.socket.destroy();
    },
    { log: { debug: note, info: note, warn: note, error: note } },
  );

  await device.read(0n, new Uint8Array(512));

  expect(events).toEqual(["nbd.connection-lost", "nbd.reconnected"]);
});

test("opening can be given up", async () => {
  const path = join(directory, `s${(serial += 1)}`);
  const silent = createServer().listen(path);
  onTestFinished(() => void silent.close());
  const ending = new AbortController();

  const opening = openNbdDevice(`nbd+unix:///?socket=${path}`, { signal: ending.signal });
  ending.abort(new Error("no longer wanted"));

  await expect(opening).rejects.toMatchObject({
    code: "ERR_HOLDFAST_DEVICE_OPEN",
    message: expect.stringContaining("no longer wanted") as unknown,
  });
});

test("a server that does not shake hands is left", async () => {
  const path = join(directory, `s${(serial += 1)}`);
  const silent = createServer().listen(path);
  onTestFinished(() => void silent.close());

  await expect(openNbdDevice(`nbd+unix:///?socket=${path}`, { connectTimeoutMs: 40 })).rejects.toMatchObject({
    message: expect.stringContaining("did not finish the handshake in time") as unknown,
  });
});

test("no more than a connection's share is in flight; the rest waits in line, up to a limit", async () => {
  const { device, requests } = await openScripted(() => {}, { giveUpMs: 300 });
  const into = new Uint8Array(512);
  const count = PIECES_WAITING_MAX + IN_FLIGHT_COUNT_MAX;

  const results = await Promise.allSettled(Array.from({ length: count }, () => device.read(0n, into)));

  const refused = results.filter(
    (result) => result.status === "rejected" && String(result.reason).includes("requests wait already"),
  );
  expect(requests.length).toBeLessThan(IN_FLIGHT_COUNT_MAX * 2);
  expect(refused).toHaveLength(count - PIECES_WAITING_MAX - (IN_FLIGHT_COUNT_MAX - 1));
});

test("a server that ends each connection at its first request is not asked without pause", async () => {
  const { device, requests } = await openScripted(({ peer }) => peer.socket.destroy(), { giveUpMs: 400 });

  await expect(device.read(0n, new Uint8Array(512))).rejects.toMatchObject({
    message: expect.stringContaining("closed the connection") as unknown,
  });

  // 50 ms that double: 5 or 6 attempts, and never one right after the other.
  expect(requests.length).toBeLessThan(15);
});

test("a write at which the server ends each connection fails at its limit, though reads are answered", async () => {
  const { device } = await openScripted(
    (request) => {
      if (request.command !== COMMAND.read) return;
      obey(request);
      request.peer.socket.end();
    },
    { giveUpMs: 500 },
  );
  const outcome: unknown[] = [];
  const written = device.write(0n, new Uint8Array(512), { isDurable: true });
  void written.catch((error: unknown) => outcome.push(error));

  while (outcome.length === 0) await device.read(4096n, new Uint8Array(512));

  expect(outcome).toMatchObject([{ code: "ERR_HOLDFAST_DEVICE_WRITE" }]);
});

test("a trim of a range that is no range is refused", async () => {
  const { device } = await openScripted(obey);

  await expect(device.trim(4096n, -512)).rejects.toMatchObject({ code: "ERR_HOLDFAST_DEVICE_RANGE" });
});
