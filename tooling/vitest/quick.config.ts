/*
 * `npm run check`: everything but the apps, whose tests start processes and take as long as those do.
 */
import { defineConfig } from "vitest/config";
import { ClosingLine } from "./closing-line.ts";

export default defineConfig({
  test: {
    projects: ["packages/*", "tooling/conformance", "tooling/simulator", "tooling/tidy"],
    reporters: ["default", new ClosingLine()],
  },
});
