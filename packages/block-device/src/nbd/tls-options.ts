/*
 * What Node.js's TLS needs to know, from the files that an NBD URL names.
 */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import type { ConnectionOptions, PeerCertificate } from "node:tls";
import { openError, reasonOf, systemCode } from "../device-request.ts";
import type { NbdTlsAddress } from "./nbd-url.ts";

/** Those that a pre-shared key of any length works with, the fast one first; none that wants a certificate beside it. */
const PSK_CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:PSK+AESGCM:PSK+CHACHA20:!kRSAPSK";

/**
 * Reads certificates or keys.
 *
 * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_OPEN` when a file is missing or malformed.
 */
export async function tlsOptions(url: string, address: NbdTlsAddress): Promise<ConnectionOptions> {
  const { pskFile, certificatesFolder, hostName, isVerified } = address;
  if (pskFile !== undefined) return pskOptions(url, pskFile, address.user);
  // An address is no name: it is compared as it is, but not sent along.
  const name = hostName === undefined || isIP(hostName) !== 0 ? {} : { servername: hostName };
  const base = {
    ...name,
    host: hostName ?? "localhost",
    minVersion: "TLSv1.2",
    rejectUnauthorized: isVerified,
  } as const;
  if (certificatesFolder === undefined) return base;
  const file = (fileName: string): Promise<Buffer | undefined> =>
    readOptional(url, join(certificatesFolder, fileName));
  const [ca, cert, key] = [
    await file("ca-cert.pem"),
    await file("client-cert.pem"),
    await file("client-key.pem"),
  ];
  if (ca === undefined && isVerified)
    throw openError(
      url,
      `there is no ca-cert.pem in ${certificatesFolder}: without it the server cannot be verified`,
    );
  if ((cert === undefined) !== (key === undefined))
    throw openError(url, `${certificatesFolder} has only one of client-cert.pem and client-key.pem`);
  return { ...base, ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert, key }) };
}

async function pskOptions(
  url: string,
  pskFile: string,
  user: string | undefined,
): Promise<ConnectionOptions> {
  const text = await readOptional(url, pskFile);
  if (text === undefined) throw openError(url, `there is no key file ${pskFile}`);
  const lines = text
    .toString("utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  const keys = new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(":");
      return [line.slice(0, at), line.slice(at + 1)] as const;
    }),
  );
  if (user === undefined && keys.size !== 1)
    throw openError(url, `${pskFile} has ${keys.size} users: name one, as in nbds://USER@HOST`);
  const identity = user ?? [...keys.keys()][0] ?? "";
  const key = keys.get(identity);
  if (key === undefined) throw openError(url, `${pskFile} has no key of the user "${identity}"`);
  if (!/^([0-9a-f]{2}){16,}$/i.test(key))
    throw openError(url, `${pskFile} must hold lines of USER:KEY, keys of 16 bytes or more in hexadecimal`);
  const psk = Buffer.from(key, "hex");
  return {
    ciphers: PSK_CIPHERS,
    minVersion: "TLSv1.2",
    pskCallback: () => ({ psk, identity }),
    // Said, because the environment could say otherwise.
    rejectUnauthorized: true,
    // Who knows the key is who we look for. The suites of TLS 1.3 go without the key too, if the server prefers to show
    // a certificate; whoever signed that knows nothing of the key.
    checkServerIdentity: (_, { subject }: Partial<PeerCertificate>) =>
      subject === undefined
        ? undefined
        : new Error("the server shows a certificate instead of knowing the key"),
  };
}

async function readOptional(url: string, path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw openError(url, reasonOf(cause), cause);
  }
}
