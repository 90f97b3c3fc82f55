import { defineConfig } from "vitest/config";
import { ClosingLine } from "./closing-line.ts";

export default defineConfig({
  test: {
    projects: [
      "packages/*",
      "apps/*",
      "tooling/conformance",
      "tooling/examples",
      "tooling/simulator",
      "tooling/tidy",
    ],
    reporters: ["default", new ClosingLine()],
  },
});
