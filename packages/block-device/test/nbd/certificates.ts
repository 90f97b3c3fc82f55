/*
 * Certificates as servers and clients of NBD want them, made by certtool.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { NbdWorkplace } from "./servers.ts";

/** An authority, and a certificate of each side for the name `disks`. */
export function makeCertificates(place: NbdWorkplace): void {
  const run = (...args: readonly string[]): void => void execFileSync("certtool", args, { stdio: "ignore" });
  const template = (name: string, lines: readonly string[]): string => {
    const path = place.path(`${name}.template`);
    writeFileSync(path, `${lines.join("\n")}\n`);
    return path;
  };
  const key = (name: string): string => place.path(`${name}-key.pem`);
  const cert = (name: string): string => place.path(`${name}-cert.pem`);
  const authority = ["--load-ca-certificate", cert("ca"), "--load-ca-privkey", key("ca")];
  run("--generate-privkey", "--key-type", "ecdsa", "--outfile", key("ca"));
  const own = template("ca", ["cn = test authority", "ca", "cert_signing_key"]);
  run("--generate-self-signed", "--load-privkey", key("ca"), "--template", own, "--outfile", cert("ca"));
  for (const side of ["server", "client"]) {
    const lines = ["cn = disks", "dns_name = disks", `tls_www_${side}`, "signing_key", "encryption_key"];
    run("--generate-privkey", "--key-type", "ecdsa", "--outfile", key(side));
    const request = ["--load-privkey", key(side), "--template", template(side, lines)];
    run("--generate-certificate", ...authority, ...request, "--outfile", cert(side));
  }
}
