#!/usr/bin/env node
import { guardOutput } from "./cli/output.ts";
import { runCommandLine } from "./cli/program.ts";

guardOutput();
const code = await runCommandLine(process.argv.slice(2));
// What did not end in time must not keep the command from ending; what was printed is printed first.
process.stdout.write("", () => process.exit(code));
