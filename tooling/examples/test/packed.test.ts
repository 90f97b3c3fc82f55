/*
 * The packages as they are published: every example of their READMEs has its types, and runs as it is printed.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Child } from "./child.ts";
import { PACKAGES, type PackageName, Stranger } from "./stranger.ts";

let stranger: Stranger;
const children: Child[] = [];

beforeAll(() => {
  stranger = new Stranger();
  vi.stubEnv("SESSION_KEY", "any sixteen bytes or more");
  for (const name of ["net-reliable", "quorum"] as const)
    for (const { file, code } of programsOf(name)) stranger.write(file, code);
}, 60_000);

afterEach(async () => {
  for (const child of children) child.process.kill("SIGKILL");
  await Promise.all(children.splice(0).map((child) => child.ended()));
});

afterAll(() => stranger.remove());

/** What the surroundings of a fragment have declared. */
const SURROUNDINGS: Partial<Record<PackageName, string>> = {
  "platform-node": "declare const secretOfBothSides: Uint8Array;",
  quorum: [
    'import type { BrokenRules } from "@holdfast/environment";',
    'import { nodeRandom as random } from "@holdfast/platform-node";',
    'import type { ElectionEffect, ElectionEvent, QuorumRegion } from "@holdfast/quorum";',
    "declare const region: QuorumRegion, firstState: Uint8Array, rid: bigint, brokenRules: BrokenRules;",
    "declare function write(address: bigint, block: Uint8Array): Promise<void>;",
    "declare function perform(effect: ElectionEffect): Promise<ElectionEvent>;",
  ].join("\n"),
};

/** The handlers' types, which a README names for those who write TypeScript. */
const HANDLERS: readonly (readonly [string, string])[] = [
  ["const handle =", 'const handle: import("@holdfast/net-reliable").RequestHandler ='],
  ["const handleStream =", 'const handleStream: import("@holdfast/net-reliable").StreamHandler ='],
];

function fencesOf(name: PackageName, language: string): readonly string[] {
  const fences = stranger.readme(name).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"));
  return [...fences].map(([, code = ""]) => code);
}

/** The programs that a README shows with their names. */
function programsOf(name: PackageName): readonly { readonly file: string; readonly code: string }[] {
  return fencesOf(name, "js").map((code) => ({
    file: /^\/\/ (\S+)\n/.exec(code)?.[1] ?? "unnamed.mjs",
    code,
  }));
}

function typedFiles(): readonly string[] {
  return PACKAGES.flatMap((name) => [
    ...fencesOf(name, "ts").map((code, index) =>
      stranger.write(`${name}-${index}.ts`, `${SURROUNDINGS[name] ?? ""}\n${code}\nexport {};\n`),
    ),
    ...programsOf(name).map(({ file, code }) =>
      stranger.write(
        file.replace(/\.mjs$/, ".ts"),
        HANDLERS.reduce((text, [from, to]) => text.replace(from, to), code),
      ),
    ),
  ]);
}

function start(program: string, ...args: readonly string[]): Child {
  const child = new Child(join(stranger.folder, program), args);
  children.push(child);
  return child;
}

test.each(["nodenext", "bundler"] as const)(
  "all examples of the READMEs, and the types of the packages, satisfy TypeScript that resolves as %s",
  (moduleResolution) => {
    const files = typedFiles();

    expect(files.length).toBeGreaterThanOrEqual(11);
    expect(stranger.complaints(files, moduleResolution)).toBe("");
  },
  60_000,
);

describe("the programs of the READMEs run from what is published", () => {
  test("those of net-reliable: requests, and a stream", async () => {
    const address = `unix:${stranger.folder}/socket`;
    const server = start("sessions-server.mjs", address);
    const client = start("sessions-client.mjs", address);
    client.process.stdin?.end("one\ntwo\n");

    expect(await client.ended()).toBe(0);
    expect(client.output).toBe(
      ["one", "two"].map((word) => `process ${server.process.pid} heard ${word}\n`).join(""),
    );

    const streams = `unix:${stranger.folder}/streams`;
    start("streams-server.mjs", streams);
    const reader = start("streams-client.mjs", streams, join(stranger.folder, "package.json"));
    expect(await reader.ended()).toBe(0);
    expect(reader.output).toBe('{ "type": "module" }');
  }, 30_000);

  test("that of quorum: a leader, and its successor", async () => {
    const path = join(stranger.folder, "election");
    writeFileSync(path, new Uint8Array(4 * 1024 * 1024));
    const first = start("leader.mjs", path, "new");
    await first.printed(/leading with token 2/);
    const second = start("leader.mjs", path);

    first.process.kill("SIGKILL");

    expect((await second.printed(/leading with token (\d+)/))[1]).toBe("3");
  }, 30_000);

  test("the first of block-device: a file that is made, written and read", async () => {
    const [code = ""] = fencesOf("block-device", "ts");
    const path = join(stranger.folder, "volume");
    const own = code.replaceAll("/srv/volume", path).replace("1024n ** 3n", "1024n ** 2n");
    stranger.write("device.mjs", `${own}\nconsole.log(block.length, device.sizeBytes);\n`);

    const program = start("device.mjs");

    expect(await program.ended()).toBe(0);
    expect(program.output).toBe("4096 1048576n\n");
    rmSync(path);
  }, 30_000);
});
