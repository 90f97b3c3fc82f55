/*
 * Each rule finds what it was made for, and lets the good twin of it pass.
 */
import { describe, expect, test } from "vitest";
import * as tidy from "../src/index.ts";

function found(rule: tidy.Rule, tree: Readonly<Record<string, string>>): readonly string[] {
  return rule(Object.entries(tree).map(([path, text]) => ({ path, text }))).map(tidy.describeFinding);
}

describe("package parts", () => {
  const whole = {
    "packages/x/package.json": '{ "exports": { ".": {} } }',
    "packages/x/README.md": "# x\n\nWhat it is.\n\nHow to use it.\n",
    "packages/x/src/index.ts": "",
    "packages/x/test/x.test.ts": "",
    "packages/x/turbo.json": '{ "extends": ["//"], "tags": ["base"] }',
  };

  test("a package with all its parts passes", () => {
    expect(found(tidy.packageParts, whole)).toEqual([]);
  });

  test.each([
    ["packages/x/README.md", "a README of more than three lines"],
    ["packages/x/src/index.ts", "src/index.ts"],
    ["packages/x/test/x.test.ts", "test/*.test.ts"],
    ["packages/x/turbo.json", "turbo.json with its tag"],
  ])("a package without %s is found", (path, part) => {
    const rest = Object.fromEntries(Object.entries(whole).filter(([name]) => name !== path));

    expect(found(tidy.packageParts, rest)).toEqual([`packages/x: lacks ${part}`]);
  });

  test("a README that only repeats the description is found", () => {
    const tree = { ...whole, "packages/x/README.md": "# x\n\nWhat it is.\n" };

    expect(found(tidy.packageParts, tree)).toEqual(["packages/x: lacks a README of more than three lines"]);
  });

  test("private tooling without a README owes its tag only", () => {
    const tree = { "tooling/x/package.json": '{ "private": true, "exports": { ".": "./x.js" } }' };

    expect(found(tidy.packageParts, tree)).toEqual(["tooling/x: lacks turbo.json with its tag"]);
  });
});

describe("public face", () => {
  const path = "packages/x/src/index.ts";

  test("re-exports of every form pass, comments between them too", () => {
    const text = `/* What it is. */
export * from "./a.ts";
export { type A, b } from "./b.ts"; // two
export type { C } from "./c.ts";
export * as d from "./d.ts";
`;

    expect(found(tidy.publicFace, { [path]: text })).toEqual([]);
  });

  test("a declaration is found where it stands", () => {
    const text = 'export * from "./a.ts";\n\nexport const b = 1;\n';

    expect(found(tidy.publicFace, { [path]: text })).toEqual([
      `${path}:3: is no re-export: index.ts only re-exports`,
    ]);
  });
});

describe("projects", () => {
  test("a project that the root does not name, itself or by its tests, is found", () => {
    const tree = {
      "tsconfig.json": '{ "references": [{ "path": "./packages/a/test" }, { "path": "./packages/c" }] }',
      "packages/a/tsconfig.json": "{}",
      "packages/a/test/tsconfig.json": "{}",
      "packages/b/tsconfig.json": "{}",
      "packages/c/tsconfig.json": "{}",
      "packages/c/test/tsconfig.json": "{}",
    };

    expect(found(tidy.projects, tree)).toEqual([
      "tsconfig.json: does not name ./packages/b, so nobody builds it",
      "tsconfig.json: does not name ./packages/c/test, so nobody builds it",
    ]);
  });
});

describe("storage order", () => {
  test("downward imports pass", () => {
    expect(
      found(tidy.storageOrder, {
        "packages/item-store/src/a.ts": 'import { Manifest } from "@holdfast/compaction";',
        "packages/compaction/src/b.ts": 'import { BTree } from "@holdfast/btree";',
      }),
    ).toEqual([]);
  });

  test.each([
    ["segment", "compaction"],
    ["alloc-extent", "compaction"],
    ["compaction", "item-store"],
  ])("%s importing %s is found", (importer, imported) => {
    const path = `packages/${importer}/src/a.ts`;

    expect(found(tidy.storageOrder, { [path]: `\nimport { A } from "@holdfast/${imported}";` })).toEqual([
      `${path}:2: ${importer} may not import ${imported}: it stands no lower`,
    ]);
  });

  test("a dependency in package.json counts as an import", () => {
    const tree = {
      "packages/btree/package.json":
        '{ "name": "@holdfast/btree", "dependencies": { "@holdfast/segment": "" } }',
    };

    expect(found(tidy.storageOrder, tree)).toHaveLength(1);
  });
});

describe("names", () => {
  test.each([
    "packages/x/src/utils/a.ts",
    "packages/x/src/helpers.ts",
    "packages/common/package.json",
    "packages/x/test/shared/a.ts",
    "packages/core/src/a.ts",
  ])("%s is found", (path) => {
    expect(found(tidy.names, { [path]: "" })).toHaveLength(1);
  });

  test("a word within a name is no drawer", () => {
    expect(found(tidy.names, { "packages/x/src/shared-reader.ts": "" })).toEqual([]);
  });
});

describe("log messages", () => {
  const path = "packages/x/src/a.ts";

  test("facts and a fixed sentence pass, with dots and calls among the facts", () => {
    const text =
      'log.info({ event: "a.b", at: place(1, "end."), list: ["x."] }, isIn ? "came in" : "went out");';

    expect(found(tidy.logMessages, { [path]: text })).toEqual([]);
  });

  test.each([
    ['log.warn({ event: "a.b" }, "it failed.");', "ends without a full stop"],
    [String.raw`log.error({ event: "a.b" }, "it failed\n");`, "ends without a newline"],
    ['this.#options.log.info(\n  facts,\n  isIn ? "came in" : "went out.",\n);', "ends without a full stop"],
    ["log.debug({}, `got ${count}`);", "interpolates nothing"],
  ])("%s is found", (text, reason) => {
    expect(found(tidy.logMessages, { [path]: text })).toEqual([expect.stringContaining(reason)]);
  });
});

describe("file length", () => {
  test("the last allowed line passes, one more is found", () => {
    const [full, over] = [400, 401].map((count) => "x\n".repeat(count));

    expect(found((tree) => tidy.fileLength(tree), { "a.ts": full ?? "" })).toEqual([]);
    expect(found((tree) => tidy.fileLength(tree), { "a.ts": over ?? "" })).toEqual([
      "a.ts: has 401 lines, 400 are allowed: split it",
    ]);
  });
});

describe("workplace", () => {
  test.each([
    ["", "home", "ada", "volume"].join("/"),
    ["", "work", "main"].join("/"),
    ["C:", "Users", "ada"].join("\\"),
    `  tarball: ${["https:", "", "mirror.example", "x.tgz"].join("/")}`,
    ["https:", "", "registry.example", "x"].join("/"),
  ])("%s is found", (text) => {
    expect(found(tidy.workplace, { "a.md": `at\n${text}\n` })).toEqual([
      expect.stringMatching(/^a\.md:2: names /),
    ]);
  });

  test("relative paths and temporary folders pass", () => {
    const text = "packages/home/x ../work/y /tmp/holdfast /dev/vdb https://example.org/home/z";

    expect(found(tidy.workplace, { "a.md": text })).toEqual([]);
  });
});

describe("pages", () => {
  test("one title that comes first passes; a comment in code is none", () => {
    expect(found(tidy.titles, { "docs/a.md": "# A\n\n```sh\n# not a title\n```\n" })).toEqual([]);
  });

  test.each([
    ["# A\n\ntext\n\n# B\n", "docs/a.md:5: has a second title"],
    ["text\n\n# A\n", "docs/a.md:1: does not begin with its title"],
    ["## A\n", "docs/a.md:1: does not begin with its title"],
  ])("%j is found", (text, finding) => {
    expect(found(tidy.titles, { "docs/a.md": text })).toEqual([finding]);
  });

  test("links to files, folders, anchors and the web pass; a dead one is found", () => {
    const text = "# A\n[b](b.md#x) [c](../packages/x/) [d](#d) [e](https://example.org)\n[f](gone.md)\n";

    expect(found(tidy.links, { "docs/a.md": text, "docs/b.md": "# B\n", "packages/x/a.ts": "" })).toEqual([
      "docs/a.md:3: links to gone.md, which is not there",
    ]);
  });
});

describe("catalogues", () => {
  test("an error code that the page lacks is found, and a row whose code is gone", () => {
    const tree = {
      "packages/x/src/a.ts":
        '// "ERR_HOLDFAST_COMMENT"\nthrow new A("ERR_HOLDFAST_ONE", "ERR_HOLDFAST_TWO");',
      "docs/operations/errors.md": "| `ERR_HOLDFAST_ONE` | x |\n| `ERR_HOLDFAST_OLD` | x |\n",
    };

    expect(found(tidy.errorCodes, tree)).toEqual([
      "packages/x/src/a.ts:2: ERR_HOLDFAST_TWO is not in docs/operations/errors.md",
      "docs/operations/errors.md:2: ERR_HOLDFAST_OLD is in no source any more",
    ]);
  });

  test("a log event that the page lacks is found, in a union of types too", () => {
    const tree = {
      "apps/x/src/a.ts":
        'log.info({ event: "role.won" }, "won");\nfunction tell(event: "role.up" | "role.down"): void {}',
      "docs/operations/logs.md": "| `role.won` | x |\n| `role.up` | x |\n",
    };

    expect(found(tidy.logEvents, tree)).toEqual([
      "apps/x/src/a.ts:2: role.down is not in docs/operations/logs.md",
    ]);
  });

  test("a command or an option that the page lacks is found", () => {
    const tree = {
      "apps/node/src/cli/program.ts":
        'p.command("mkfs").option("--size <size>", "x").option("--label <label>");',
      "docs/operations/command-line.md": "`holdfast mkfs URL [--size SIZE]`: --labels\n",
    };

    expect(found(tidy.commandLine, tree)).toEqual([
      "apps/node/src/cli/program.ts:1: --label is not in docs/operations/command-line.md",
    ]);
  });
});
