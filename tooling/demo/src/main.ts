import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runDemo } from "./demo.ts";

const directory = await mkdtemp(join(tmpdir(), "holdfast-demo-"));
try {
  const failures = await runDemo(directory, (line) => process.stdout.write(`${line}\n`));
  process.exitCode = failures === 0 ? 0 : 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
