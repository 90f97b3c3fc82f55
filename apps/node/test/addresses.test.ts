/*
 * Where members listen, and that what leaves a host is encrypted.
 */
import { connect } from "node:net";
import { expect, test } from "vitest";
import { openVolume, type Volume } from "../src/index.ts";
import { useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();

test("members at TLS addresses share a volume, survive their server, and let no stranger in", async () => {
  const url = await place.volume("tls.hf");
  const listen = ["--listen", "tls://127.0.0.2:0"];
  const first = await place.member(url, [...listen, "--name", "first"]);
  {
    await using second = await openVolume(url, { listen: "tls://127.0.0.3:0", name: "second" });
    await using third = await openVolume(url, { listen: "tls://127.0.0.4:0", name: "third" });
    const [two, three] = await Promise.all([second.dataset(), third.dataset()]);
    await two.put("ada", "1815");
    expect(await three.get("ada")).toEqual(new TextEncoder().encode("1815"));
    const server = await serverOf(second);
    expect(server).toMatch(/^tls:\/\/127\.0\.0\.2:\d+$/);
    await speakInTheClear(server);

    await first.end("SIGKILL");
    await three.put("ada", "1852");

    expect(await two.get("ada")).toEqual(new TextEncoder().encode("1852"));
    expect(await serverOf(third)).toMatch(/^tls:\/\/127\.0\.0\.[34]:\d+$/);
  }
  expect(first.log.filter((line) => line.includes('"transport.handshake-refused"'))).toHaveLength(1);
});

test("a member does not listen in the clear where other hosts reach it, and says what to write", async () => {
  const url = await place.volume("clear.hf");

  const result = await place.run(["run", url, "--json", "--listen", "tcp://192.0.2.7:7000"]);

  expect(result.code).toBe(2);
  expect(result.stderr).toContain("ERR_HOLDFAST_ADDRESS_INSECURE");
  expect(result.stderr).toContain("write tls://192.0.2.7:7000");
});

test("an address that others could not dial is refused", async () => {
  const url = await place.volume("everywhere.hf");

  for (const listen of ["tls://0.0.0.0:7000", "tcp://0.0.0.0:0", "tls://[::]:7000", "unix:a.sock"])
    await expect(openVolume(url, { listen })).rejects.toMatchObject({
      code: "ERR_HOLDFAST_ADDRESS_INVALID",
    });
});

async function serverOf(volume: Volume): Promise<string> {
  const { server, members } = await volume.status();
  return members.find(({ rid }) => rid === server)?.address ?? "";
}

/** Resolves when the server has hung up. */
function speakInTheClear(address: string): Promise<void> {
  const [, host, port] = /^tls:\/\/(.*):(\d+)$/.exec(address) ?? [];
  return new Promise((resolve) => {
    const socket = connect({ host: host ?? "", port: Number(port) });
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.write("GET / HTTP/1.1\r\n\r\n");
    socket.resume();
  });
}
