/*
 * The rules, held against the repository as it stands.
 */
import { describe, expect, test } from "vitest";
import * as tidy from "../src/index.ts";

const files = tidy.readTree();

const RULES: readonly (readonly [string, tidy.Rule])[] = [
  ["every package has its README, public face, tests and layer tag", tidy.packageParts],
  ["every project is built with the others", tidy.projects],
  ["an index.ts re-exports and nothing else", tidy.publicFace],
  ["storage packages import downward only", tidy.storageOrder],
  ["no folder or file is a drawer", tidy.names],
  ["log messages are fixed sentences without a full stop", tidy.logMessages],
  [`no source file has more than ${tidy.FILE_LINES_MAX} lines`, (tree) => tidy.fileLength(tree)],
  ["nothing names a place on one machine or a package registry", tidy.workplace],
  ["every page begins with its one title", tidy.titles],
  ["every relative link leads somewhere", tidy.links],
  ["every error code is in docs/operations/errors.md", tidy.errorCodes],
  ["every log event is in docs/operations/logs.md", tidy.logEvents],
  ["every command and option is in docs/operations/command-line.md", tidy.commandLine],
];

describe("the repository", () => {
  test.each(RULES)("%s", (_, rule) => {
    expect(rule(files).map(tidy.describeFinding)).toEqual([]);
  });

  test("is read as a whole: the rules would mean nothing on an empty list", () => {
    expect(files.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        "README.md",
        "packages/environment/src/index.ts",
        "apps/node/src/cli/program.ts",
      ]),
    );
  });
});
