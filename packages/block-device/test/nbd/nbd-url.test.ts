import { expect, test } from "vitest";
import { isNbdUrl, type NbdAddress, parseNbdUrl } from "../../src/nbd/nbd-url.ts";

const TCP = { place: { type: "tcp", host: "disks.example", port: 10_809 }, exportName: "", tls: undefined };
const X509 = { certificatesFolder: undefined, pskFile: undefined, user: undefined, isVerified: true };

test.each<[string, Partial<NbdAddress> | object]>([
  ["nbd://disks.example", TCP],
  ["nbd://disks.example/", TCP],
  ["nbd://disks.example/disk", { ...TCP, exportName: "disk" }],
  ["nbd://disks.example//disk", { ...TCP, exportName: "/disk" }],
  ["nbd://disks.example/hello%20world", { ...TCP, exportName: "hello world" }],
  ["nbd://disks.example:99/disk?connections=4", { connectionsCount: 4, place: { ...TCP.place, port: 99 } }],
  ["nbd://[::1]:99/", { place: { type: "tcp", host: "::1", port: 99 } }],
  [
    "nbd+unix:///disk?socket=/run/a+b.sock",
    { place: { type: "unix", path: "/run/a+b.sock" }, exportName: "disk" },
  ],
  ["nbd+unix:///?socket=%2Frun%2Fx", { place: { type: "unix", path: "/run/x" }, exportName: "" }],
  ["nbds://disks.example/", { tls: { ...X509, hostName: "disks.example" } }],
  [
    "nbds://disks.example/?tls-certificates=/etc/pki&tls-hostname=other",
    { tls: { ...X509, certificatesFolder: "/etc/pki", hostName: "other" } },
  ],
  [
    "nbds://alice@disks.example/?tls-psk-file=/etc/keys",
    { tls: { ...X509, pskFile: "/etc/keys", user: "alice", hostName: "disks.example" } },
  ],
  [
    "nbds+unix://al%69ce@/?socket=/x&tls-psk-file=/etc/keys",
    { tls: { ...X509, pskFile: "/etc/keys", user: "alice", hostName: undefined } },
  ],
  ["nbds+unix:///?socket=/x&tls-hostname=h", { tls: { ...X509, hostName: "h" } }],
  ["nbds+unix:///?socket=/x&tls-verify-peer=0", { tls: { ...X509, hostName: undefined, isVerified: false } }],
])("%s is understood", (url, parts) => {
  expect(isNbdUrl(url)).toBe(true);
  expect(parseNbdUrl(url)).toMatchObject(parts);
});

test.each([
  ["nbd:///disk", "names no host"],
  ["nbd:host/disk", "no URL of the form"],
  ["nbd://host/disk#part", "no URL of the form"],
  ["nbd://a b/", "no URL of the form"],
  ["nbd://host:0/", "no port 0"],
  ["nbd://host:65536/", "no URL of the form"],
  ["nbd://host/%zz", "not percent-encoded"],
  ["nbd://host/a%00b", "no zero character"],
  [`nbd://host/${"x".repeat(4097)}`, "at most 4096 bytes"],
  ["nbd://host/?socket=/x", "a socket is for nbd+unix"],
  ["nbd+unix:///disk", "names no socket"],
  ["nbd+unix://host/disk?socket=/x", "a Unix socket has no host"],
  ["nbd://host/?connections=0", "connections is 1 to 16"],
  ["nbd://host/?connections=17", "connections is 1 to 16"],
  ["nbd://host/?connections=two", "connections is 1 to 16"],
  ["nbd://host/?conections=2", 'unknown parameter "conections"; known are socket, connections'],
  ["nbd://host/?connections=2&connections=3", "parameter connections twice"],
  ["nbd://host/?connections=", "parameter connections is empty"],
  ["nbd://host/?tls-psk-file=/x", "tls-psk-file is for nbds://"],
  ["nbd://alice@host/", "a user is for nbds://"],
  ["nbds://alice@host/", "a user is for tls-psk-file"],
  ["nbds://host/?tls-psk-file=/x&tls-certificates=/y", "choose one"],
  ["nbds://host/?tls-type=anon", "x509 or psk"],
  ["nbds://host/?tls-type=psk", "needs tls-psk-file"],
  ["nbds://host/?tls-type=x509&tls-psk-file=/x", "is for tls-type=psk"],
  ["nbds://host/?tls-verify-peer=maybe", "1 or 0"],
  ["nbds+unix:///?socket=/x", "tls-hostname says whose certificate"],
])("%s is refused with its reason", (url, reason) => {
  expect(() => parseNbdUrl(url)).toThrow(
    expect.objectContaining({
      code: "ERR_HOLDFAST_DEVICE_OPEN",
      message: expect.stringContaining(reason) as unknown,
    }) as Error,
  );
});

test.each(["/dev/nbd0", "file:nbd", "nbdx://host/", "http://nbd/"])("%s is not for this driver", (url) => {
  expect(isNbdUrl(url)).toBe(false);
});
