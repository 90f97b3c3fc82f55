/*
 * The command line: what commands there are and what they take. What they do is in `commands/`.
 */
import { Command, CommanderError, Option } from "commander";
import { DEFAULT_LISTEN_ADDRESS } from "../listen-address.ts";
import type { ItemsTarget } from "./commands/items.ts";
import { ExitCode, exitCodeFor, UsageError } from "./exit-codes.ts";
import { refuseMistakes } from "./mistakes.ts";
import { printError } from "./output.ts";
import type { ReachOptions } from "./reach.ts";
import type { KeyRule } from "./record-format.ts";
import { parseCount, parseIdentity, parseSize } from "./size.ts";

/** Runs the command line and resolves with the exit code. Never throws. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  const end = argv.indexOf("--");
  const isJson = argv.slice(0, end < 0 ? undefined : end).includes("--json");
  let code: number = ExitCode.ok;
  const program = makeProgram(isJson, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (error) {
    // Help and version end by an error with code 0.
    if (error instanceof CommanderError && error.exitCode === 0) return ExitCode.ok;
    if (!(error instanceof CommanderError)) {
      printError(isJson, error);
      return exitCodeFor(error);
    }
    // The help that was printed instead says it all.
    if (isJson) printError(isJson, new UsageError('no command was given; "holdfast --help" lists them'));
    return ExitCode.usage;
  }
}

const URL_TEXT = "path of a file or block device, or nbd://HOST/EXPORT";

const AFTER_HELP = `
First steps:
  holdfast mkfs ./volume.hf --size 1G
  holdfast run ./volume.hf &
  holdfast put ./volume.hf ada 1815
  holdfast scan ./volume.hf

Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 failure, 2 mistake in the call,
3 no such key, dataset or member, 4 no server in time, 5 evicted, 130 SIGINT, 143 SIGTERM.`;

// Loaded on demand: help and mistakes need none of them.
const volumeCommands = (): Promise<typeof import("./commands/volume.ts")> => import("./commands/volume.ts");
const itemCommands = (): Promise<typeof import("./commands/items.ts")> => import("./commands/items.ts");
const importCommands = (): Promise<typeof import("./commands/import.ts")> => import("./commands/import.ts");
const tuneCommands = (): Promise<typeof import("./commands/tune.ts")> => import("./commands/tune.ts");
const renewCommands = (): Promise<typeof import("./commands/renew.ts")> => import("./commands/renew.ts");
const memberCommands = (): Promise<typeof import("./commands/run.ts")> => import("./commands/run.ts");
const fenceCommands = (): Promise<typeof import("./commands/fence.ts")> => import("./commands/fence.ts");

interface CommonOptions {
  readonly json?: boolean;
  readonly wait: string;
  readonly listen: string;
}

interface ItemOptions extends CommonOptions {
  readonly dataset: string;
}

/** Changes in one transaction. */
const KEYS_MAX = 8192;

const SECONDS = { least: 1, most: 86_400 };

function makeProgram(isJson: boolean, exit: (code: number) => void): Command {
  const program = new Command("holdfast")
    .description("Several processes share one volume as if each owned it.")
    .version("0.1.0")
    .showSuggestionAfterError()
    .addHelpText("after", AFTER_HELP)
    // Mistakes are told by whoever catches the error.
    .configureOutput({ outputError: () => {}, ...(isJson ? { writeErr: () => {} } : {}) });
  addVolumeCommands(program);
  addUpkeepCommands(program);
  addItemCommands(program);
  addBulkCommands(program);
  program
    .command("run")
    .description("run a member until SIGTERM")
    .argument("<url>", URL_TEXT)
    .option("--listen <address>", "where to listen when serving", DEFAULT_LISTEN_ADDRESS)
    .option("--no-vote", "never serve and never vote")
    .option("--name <name>", "name in the status; default host/process")
    .option(
      "--fence-agent <path>",
      "executable that cuts dead members off from the volume while this one serves",
    )
    .addOption(
      new Option("--log-level <level>", "least level of log lines")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("info"),
    )
    .option("--json", "print JSON")
    .action(
      async (
        url: string,
        options: {
          listen: string;
          vote: boolean;
          name?: string;
          fenceAgent?: string;
          logLevel: string;
          json?: boolean;
        },
      ) => {
        const { vote, name, fenceAgent, logLevel, json = false } = options;
        const { runMember } = await memberCommands();
        const listen = vote && options.listen;
        exit(await runMember({ url, listen, name, fenceAgent, logLevel, isJson: json }));
      },
    );
  refuseMistakes(program);
  return program;
}

function addVolumeCommands(program: Command): void {
  program
    .command("mkfs")
    .description("make a volume on a file or a device; everything on it is lost")
    .argument("<url>", URL_TEXT)
    .option("--size <size>", "make a file of this size, e.g. 1G; devices have the size they have")
    .option("--label <label>", "name for people, at most 64 bytes", "")
    .option("--votes <count>", "voters that must agree before one of them runs for server", "1")
    .option("--force", "format although something is there")
    .option("--json", "print JSON")
    .action(
      async (
        url: string,
        options: { size?: string; label: string; votes: string; force?: boolean; json?: boolean },
      ) => {
        const { size, label, votes, force = false, json = false } = options;
        const sizeBytes = size === undefined ? undefined : parseSize(size);
        return (await volumeCommands()).runMkfs({
          url,
          sizeBytes,
          label,
          votes: parseCount("--votes", votes, { least: 1, most: 64 }),
          isForced: force,
          isJson: json,
        });
      },
    );
  common(program.command("status").description("show the volume, its server and its members")).action(
    async (url: string, options: CommonOptions) =>
      (await volumeCommands()).runStatus(url, options.json ?? false, reachOf(options)),
  );
  const dataset = program.command("dataset").description("create and list datasets");
  common(dataset.command("create").description("create a dataset"), "<name>").action(
    async (url: string, name: string, options: CommonOptions) =>
      (await volumeCommands()).runDatasetCreate(url, name, options.json ?? false, reachOf(options)),
  );
  common(dataset.command("list").description("list datasets")).action(
    async (url: string, options: CommonOptions) =>
      (await volumeCommands()).runDatasetList(url, options.json ?? false, reachOf(options)),
  );
}

function addUpkeepCommands(program: Command): void {
  common(
    program
      .command("fence")
      .description("list what dead members may still write to; confirm that one never will"),
  )
    .argument("[rid]", "the member, as status prints it; without it the quarantine is listed")
    .option("--list", "list the quarantine")
    .option("--yes", "promise that the member can never write again")
    .option("--force", "also if the member is connected: it is evicted")
    .action(
      async (
        url: string,
        rid: string | undefined,
        options: CommonOptions & { list?: boolean; yes?: boolean; force?: boolean },
      ) => {
        const { list = false, yes = false, force = false, json = false } = options;
        if (list && rid !== undefined) throw new UsageError("--list takes no member");
        return (await fenceCommands()).runFence(
          { url, rid, isConfirmed: yes, isForced: force, isJson: json },
          reachOf(options),
        );
      },
    );
  common(
    program
      .command("tune")
      .description("change how many voters must agree before one of them runs for server"),
  )
    .requiredOption("--votes <count>", "that many, more than half of the voters you expect")
    .option("--force", "also if fewer voters than that are members")
    .option(
      "--offline",
      "elect this command with one vote although voters are there: they are too few to elect a server",
    )
    .action(
      async (url: string, options: CommonOptions & { votes: string; force?: boolean; offline?: boolean }) => {
        const { votes, force = false, offline = false, json = false } = options;
        return (await tuneCommands()).runTune(
          {
            url,
            votes: parseCount("--votes", votes, { least: 1, most: 64 }),
            isForced: force,
            isOffline: offline,
            isJson: json,
          },
          reachOf(options),
        );
      },
    );
  program
    .command("renew")
    .description("start the terms of a volume afresh, while nobody has it open")
    .argument("<url>", URL_TEXT)
    .option("--fenced <rids...>", "members that can never write to the device again: you have made sure")
    .option("--fence-agent <path>", "executable that makes sure of the others")
    .option("--json", "print JSON")
    .action(
      async (
        url: string,
        { fenced = [], fenceAgent, json = false }: { fenced?: string[]; fenceAgent?: string; json?: boolean },
      ) =>
        (await renewCommands()).runRenew({
          url,
          fenced: new Set(fenced.map((text) => parseIdentity("--fenced", text))),
          fenceAgent,
          isJson: json,
        }),
    );
}

function addItemCommands(program: Command): void {
  onItems(
    program.command("put").description('put one value; "-" reads it from standard input'),
    "<key>",
    "<value>",
  ).action(async (url: string, key: string, value: string, options: ItemOptions) =>
    (await itemCommands()).runPut(target(url, options), { key, value }, reachOf(options)),
  );
  onItems(program.command("get").description("print the value of a key"), "<key>").action(
    async (url: string, key: string, options: ItemOptions) =>
      (await itemCommands()).runGet(target(url, options), key, reachOf(options)),
  );
  onItems(program.command("del").description("delete keys, all at once"), "<keys...>").action(
    async (url: string, keys: string[], options: ItemOptions) => {
      if (keys.length > KEYS_MAX) throw new UsageError(`one call deletes at most ${KEYS_MAX} keys`);
      return (await itemCommands()).runDelete(target(url, options), keys, reachOf(options));
    },
  );
}

function addBulkCommands(program: Command): void {
  onItems(program.command("scan").description("print items in key order"))
    .option("--from <key>", "first key, included")
    .option("--to <key>", "last key, included")
    .option("--prefix <text>", "only keys that begin with it")
    .option("--limit <count>", "at most so many")
    .option("--reverse", "from the greatest key down")
    .action(
      async (
        url: string,
        options: ItemOptions & {
          from?: string;
          to?: string;
          prefix?: string;
          limit?: string;
          reverse?: boolean;
        },
      ) => {
        const { from, to, prefix, limit, reverse = false } = options;
        if (from !== undefined && to !== undefined && Buffer.compare(Buffer.from(from), Buffer.from(to)) > 0)
          throw new UsageError(
            `--from ${from} is behind --to ${to}: --from is the smaller key, also with --reverse`,
          );
        const scan = {
          ...(from === undefined ? {} : { from }),
          ...(to === undefined ? {} : { to }),
          ...(prefix === undefined ? {} : { prefix }),
          ...(limit === undefined
            ? {}
            : { limit: parseCount("--limit", limit, { least: 1, most: 4_000_000_000 }) }),
          isReverse: reverse,
        };
        return (await itemCommands()).runScan(target(url, options), scan, reachOf(options));
      },
    );
  onItems(
    program.command("import").description('import JSON lines or a JSON array; "-" reads standard input'),
    "<file>",
  )
    .option("--key <field>", "the field that is the key; the whole record is the value")
    .option("--number <prefix>", "number the records behind this prefix; the whole record is the value")
    .option("--batch <count>", "records in one transaction", "1000")
    .option("--quiet", "show no progress")
    .action(
      async (
        url: string,
        path: string,
        options: ItemOptions & { key?: string; number?: string; batch: string; quiet?: boolean },
      ) => {
        const { dataset, batch, quiet = false, json = false } = options;
        const batchCount = parseCount("--batch", batch, { least: 1, most: KEYS_MAX });
        return (await importCommands()).runImport(
          { url, path, dataset, rule: keyRule(options), batchCount, isJson: json, isQuiet: quiet },
          reachOf(options),
        );
      },
    );
  onItems(
    program.command("export").description('write a dataset as JSON lines; "-" writes standard output'),
    "<file>",
  ).action(async (url: string, path: string, options: ItemOptions) =>
    (await itemCommands()).runExport(target(url, options), path, reachOf(options)),
  );
}

/** What the arguments behind the volume are. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  "<key>": "1 to 21 bytes",
  "<keys...>": "each 1 to 21 bytes; they need not exist",
  "<value>": "at most 65536 bytes",
  "<file>": "path",
  "<name>": "1 to 21 letters, digits, dots, dashes and underscores",
};

/** What every command on items takes. */
function onItems(command: Command, ...args: readonly string[]): Command {
  return common(command, ...args).option("--dataset <name>", "which dataset", "main");
}

/** What every command on an open volume takes. */
function common(command: Command, ...args: readonly string[]): Command {
  command.argument("<url>", URL_TEXT);
  for (const argument of args) command.argument(argument, ARGUMENTS[argument]);
  return command
    .option("--wait <seconds>", "give up any single wait for a server after so long", "15")
    .option("--listen <address>", "where to listen if this command has to serve", DEFAULT_LISTEN_ADDRESS)
    .option("--json", "print JSON");
}

function keyRule({ key, number }: { readonly key?: string; readonly number?: string }): KeyRule {
  if (key !== undefined && number !== undefined)
    throw new UsageError("--key and --number exclude each other");
  if (key !== undefined) return { type: "field", field: key };
  return number === undefined ? { type: "exported" } : { type: "number", prefix: number };
}

function target(url: string, { dataset, json = false }: ItemOptions): ItemsTarget {
  return { url, dataset, isJson: json };
}

function reachOf({ wait, listen, json = false }: CommonOptions): ReachOptions {
  return { waitMs: 1000 * parseCount("--wait", wait, SECONDS), listen, isJson: json };
}
