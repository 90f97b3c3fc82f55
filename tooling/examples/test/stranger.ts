/*
 * A folder as a stranger has it who installed the packages: what is published of them, and nothing of this repository.
 */
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** The packages whose READMEs promise that they are of use alone, and what they stand on. */
export const PACKAGES = [
  "environment",
  "wire-format",
  "platform-node",
  "block-device",
  "net-reliable",
  "quorum",
] as const;

/** A package as it would be published. */
export type PackageName = (typeof PACKAGES)[number];

/** Packs the packages and installs them, with the one dependency that they have, beside TypeScript. */
export class Stranger {
  readonly folder: string = mkdtempSync(join(tmpdir(), "holdfast-stranger-"));

  constructor() {
    const modules = join(this.folder, "node_modules");
    const filter = `./packages/{${PACKAGES.join(",")}}`;
    this.#run(
      join(ROOT, "node_modules/.bin/pnpm"),
      ["--filter", filter, "-r", "pack", "--pack-destination", this.folder],
      ROOT,
    );
    const packed = readdirSync(this.folder);
    for (const name of PACKAGES) {
      const into = join(modules, "@holdfast", name);
      const file = packed.find((one) => new RegExp(`^holdfast-${name}-[\\d.]+\\.tgz$`).test(one));
      mkdirSync(into, { recursive: true });
      this.#run(
        "tar",
        ["-xzf", file ?? `${name} was not packed`, "--strip-components=1", "-C", into],
        this.folder,
      );
    }
    for (const folder of ["@msgpack", "@types"]) mkdirSync(join(modules, folder));
    link("packages/wire-format/node_modules/@msgpack/msgpack", join(modules, "@msgpack/msgpack"));
    link("node_modules/@types/node", join(modules, "@types/node"));
    writeFileSync(join(this.folder, "package.json"), '{ "type": "module" }');
  }

  /** Its README, as it is installed. */
  readme(name: PackageName): string {
    return readFileSync(join(this.folder, "node_modules/@holdfast", name, "README.md"), "utf8");
  }

  write(file: string, text: string): string {
    const path = join(this.folder, file);
    writeFileSync(path, text);
    return path;
  }

  /** What TypeScript says of the files, "" for nothing: as strict as it can be, and the packages' own types checked too. */
  complaints(files: readonly string[], moduleResolution: "nodenext" | "bundler"): string {
    const module = moduleResolution === "bundler" ? "esnext" : "nodenext";
    const options = [
      "--strict",
      "--noEmit",
      "--target",
      "es2022",
      "--types",
      "node",
      "--skipLibCheck",
      "false",
    ];
    try {
      const args = [...options, "--module", module, "--moduleResolution", moduleResolution, ...files];
      return this.#run(join(ROOT, "node_modules/.bin/tsc"), args, this.folder);
    } catch (error) {
      return error instanceof Error && "stdout" in error ? String(error.stdout) : String(error);
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  #run(program: string, args: readonly string[], cwd: string): string {
    return execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }
}

function link(from: string, to: string): void {
  symlinkSync(realpathSync(join(ROOT, from)), to);
}
