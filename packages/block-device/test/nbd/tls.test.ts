/*
 * Encrypted connections to real servers: certificates and pre-shared keys.
 */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { pattern, sameBytes } from "@holdfast/conformance";
import type { PeerCertificate } from "node:tls";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { DeviceError } from "@holdfast/environment";
import { openBlockDevice, type OpenedBlockDevice } from "../../src/index.ts";
import { parseNbdUrl } from "../../src/nbd/nbd-url.ts";
import { tlsOptions } from "../../src/nbd/tls-options.ts";
import { makeCertificates } from "./certificates.ts";
import { describeWith, freePort, NbdWorkplace } from "./servers.ts";

const place = new NbdWorkplace();
afterAll(() => place.close());

const pki = place.path("");

function urlOf(name: string, query: string, exportName = "", user = ""): string {
  return `nbds+unix://${user}/${exportName}?socket=${place.path(name)}&${query}`;
}

/** `usable` if what is written there can be read, else why it cannot be opened. */
async function outcomeOf(url: string): Promise<string> {
  let device: OpenedBlockDevice;
  try {
    device = await openBlockDevice(url);
  } catch (error) {
    if (error instanceof DeviceError && error.code === "ERR_HOLDFAST_DEVICE_OPEN") return error.message;
    throw error;
  }
  const read = new Uint8Array(1 << 20);
  await device.write(0n, pattern(1 << 20, 1), { isDurable: true });
  await device.read(0n, read);
  await device.close();
  return sameBytes(read, pattern(1 << 20, 1)) ? "usable" : "other bytes";
}

describeWith(["nbdkit", "certtool"], "certificates", () => {
  const both = `tls-certificates=${pki}&tls-hostname=disks`;
  beforeAll(async () => {
    await place.clear();
    makeCertificates(place);
    const args = ["--tls=require", `--tls-certificates=${pki}`, "--tls-verify-peer"];
    await place.nbdkit("x509", [...args, "file", place.image]);
    await place.nbdkit("plain", ["file", place.image]);
    await place.nbdkit("anybody", ["--tls=require", `--tls-certificates=${pki}`, "file", place.image]);
  }, 30_000);

  test("of both sides are shown and verified", async () => {
    expect(await outcomeOf(urlOf("x509", both))).toBe("usable");
  });

  test("of a server with another name are refused", async () => {
    expect(await outcomeOf(urlOf("x509", `tls-certificates=${pki}&tls-hostname=other`))).toContain(
      "altnames",
    );
  });

  test("of a server with another name are taken if the URL says not to verify", async () => {
    expect(await outcomeOf(urlOf("x509", `tls-certificates=${pki}&tls-verify-peer=0`))).toBe("usable");
  });

  test("that the system does not trust are refused", async () => {
    expect(await outcomeOf(urlOf("x509", "tls-hostname=disks"))).toContain("certificate");
  });

  test("that the folder lacks are missed", async () => {
    expect(await outcomeOf(urlOf("x509", "tls-hostname=disks&tls-certificates=/nowhere"))).toContain(
      "no ca-cert.pem in /nowhere",
    );
  });

  test("are of no use to a server without TLS, which is not used then", async () => {
    expect(await outcomeOf(urlOf("plain", both))).toContain("it refuses TLS");
  });

  test("are not taken for knowledge of a pre-shared key, whoever trusts them", async () => {
    const keys = place.path("keys-of-nobody");
    writeFileSync(keys, `alice:${"0a".repeat(32)}\n`);
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    onTestFinished(() => void vi.unstubAllEnvs());
    const { tls } = parseNbdUrl(urlOf("anybody", `tls-psk-file=${keys}`));
    const options = tls === undefined ? {} : await tlsOptions("nbds", tls);

    expect(await outcomeOf(urlOf("anybody", `tls-psk-file=${keys}`))).toContain("failed");
    const shown = { subject: { CN: "disks" } } as PeerCertificate; // As much of one as is looked at.
    expect(options.checkServerIdentity?.("disks", shown)).toBeInstanceOf(Error);
  });

  test("are asked for by a server that wants TLS of a URL without", async () => {
    expect(await outcomeOf(`nbd+unix:///?socket=${place.path("x509")}`)).toContain("it wants TLS: use nbds");
  });
});

describeWith(["qemu-nbd", "certtool"], "certificates of qemu-nbd", () => {
  beforeAll(async () => {
    await place.clear();
    makeCertificates(place);
    const credentials = `tls-creds-x509,id=t,endpoint=server,dir=${pki},verify-peer=yes`;
    await place.qemu("qemu-tls", ["--export-name", "disk", "--object", credentials, "--tls-creds", "t"]);
  }, 30_000);

  test("of both sides are shown and verified", async () => {
    expect(await outcomeOf(urlOf("qemu-tls", `tls-certificates=${pki}&tls-hostname=disks`, "disk"))).toBe(
      "usable",
    );
  });
});

describeWith(["nbd-server", "certtool"], "certificates of nbd-server", () => {
  let port = 0;
  beforeAll(async () => {
    await place.clear();
    makeCertificates(place);
    port = await freePort();
    const files = { keyfile: "server-key", certfile: "server-cert", cacertfile: "ca-cert" };
    const lines = Object.entries(files).map(([name, file]) => `${name} = ${place.path(`${file}.pem`)}`);
    await place.nbdServer(port, ["flush = true", "fua = true"], [...lines, "force_tls = true"]);
  }, 30_000);

  test("of both sides are shown and verified, over TCP", async () => {
    const query = `tls-certificates=${pki}&tls-hostname=disks`;

    expect(await outcomeOf(`nbds://127.0.0.1:${port}/disk?${query}`)).toBe("usable");
  });

  test("are asked for of a URL without TLS", async () => {
    expect(await outcomeOf(`nbd://127.0.0.1:${port}/disk`)).toContain("it wants TLS: use nbds");
  });
});

describeWith(["qemu-nbd"], "a pre-shared key of qemu-nbd", () => {
  beforeAll(async () => {
    await place.clear();
    writeFileSync(place.path("keys.psk"), `alice:${"0a".repeat(32)}\n`);
    writeFileSync(place.path("wrong"), `alice:${"0b".repeat(32)}\n`);
    const credentials = `tls-creds-psk,id=t,endpoint=server,dir=${pki}`;
    await place.qemu("qemu-psk", ["--export-name", "disk", "--object", credentials, "--tls-creds", "t"]);
  });

  test("is proven by both sides, and another one is refused", async () => {
    const outcomes = ["keys.psk", "wrong"].map((name) =>
      outcomeOf(urlOf("qemu-psk", `tls-psk-file=${place.path(name)}`, "disk")),
    );

    expect(await outcomes[0]).toBe("usable");
    expect(await outcomes[1]).toContain("failed");
  });
});

describeWith(["nbdkit"], "a pre-shared key", () => {
  const keys = place.path("keys");
  beforeAll(async () => {
    await place.clear();
    writeFileSync(keys, `alice:${"0a".repeat(32)}\n`);
    writeFileSync(place.path("wrong"), `alice:${"0b".repeat(32)}\n`);
    writeFileSync(place.path("two"), `${readFileSync(keys, "utf8")}bob:${"0c".repeat(32)}\n`);
    await place.nbdkit("psk", ["--tls=require", `--tls-psk=${keys}`, "file", place.image]);
  });

  test("is proven by both sides", async () => {
    expect(await outcomeOf(urlOf("psk", `tls-psk-file=${keys}`))).toBe("usable");
  });

  test("is found by the user's name among others", async () => {
    const url = urlOf("psk", `tls-psk-file=${place.path("two")}`, "", "alice@");

    expect(await outcomeOf(url)).toBe("usable");
  });

  test("is not guessed among several", async () => {
    expect(await outcomeOf(urlOf("psk", `tls-psk-file=${place.path("two")}`))).toContain(
      "has 2 users: name one",
    );
  });

  test("that differs is refused", async () => {
    expect(await outcomeOf(urlOf("psk", `tls-psk-file=${place.path("wrong")}`))).toContain("failed");
  });

  test("does not save a connection that was tampered with, which is made anew at once", async () => {
    const near: Socket[] = [];
    const relay = createServer((socket) => {
      near.push(socket);
      const far = connect(place.path("psk"));
      for (const [from, to] of [
        [socket, far],
        [far, socket],
      ] as const) {
        from.on("error", () => {});
        from.on("close", () => to.destroy());
        from.pipe(to);
      }
    });
    await new Promise<void>((resolve) => {
      relay.listen(place.path("relay"), resolve);
    });
    onTestFinished(() => void relay.close());
    const device = await openBlockDevice(urlOf("relay", `tls-psk-file=${keys}`));
    onTestFinished(() => device.close());

    near[0]?.write(Buffer.concat([Buffer.from([0x17, 3, 3, 0, 64]), Buffer.alloc(64, 5)]));
    await once(near[0] ?? relay, "close");
    await device.read(0n, new Uint8Array(512));

    expect(near).toHaveLength(2);
  });

  test("that is no key file is refused", async () => {
    writeFileSync(place.path("bad"), "alice:secret\n");

    expect(await outcomeOf(urlOf("psk", `tls-psk-file=${place.path("bad")}`))).toContain("in hexadecimal");
  });

  test("that is not there is refused", async () => {
    expect(await outcomeOf(urlOf("psk", "tls-psk-file=/nowhere"))).toContain("no key file /nowhere");
  });
});
