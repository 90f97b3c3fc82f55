import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Real processes on a machine that may have other things to do.
    testTimeout: 180_000,
    hookTimeout: 60_000,
    // Tests mostly wait for others to notice something.
    maxWorkers: 4,
  },
});
