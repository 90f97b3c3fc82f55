import { cpus } from "node:os";
import { runCommandLine } from "./command-line.ts";

const processors = cpus();
const machine = {
  node: process.version,
  cpu: `${processors.length} × ${processors[0]?.model ?? "unknown"}`,
  date: new Date().toISOString(),
};
process.exitCode = await runCommandLine(process.argv.slice(2), machine, {
  say: (text) => process.stdout.write(text),
  complain: (text) => process.stderr.write(text),
});
