/*
 * Mistakes in a call that every command refuses alike: what is told twice, what is empty, and whatever the parser finds.
 */
import type { Command, CommanderError } from "commander";
import { UsageError } from "./exit-codes.ts";

/** Options that mean something when they are empty. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(["label", "prefix", "number"]);

/** Arguments that name a place: empty they are mostly a variable that is not set. */
const PLACES: ReadonlySet<string> = new Set(["url", "file"]);

/** Has a command, and those under it, refuse such mistakes by {@link UsageError}. */
export function refuseMistakes(command: Command): void {
  command.exitOverride((error) => {
    throw isAnswer(error) ? error : mistakeOf(error, command);
  });
  refuseRepeats(command);
  command.hook("preAction", (_, called) => {
    if (called === command) refuseValues(command);
  });
  for (const inner of command.commands) refuseMistakes(inner);
}

/** True for what ends a call and is no mistake that wants a message: help and version that were asked for, or the help instead of a command. */
function isAnswer(error: CommanderError): boolean {
  return error.exitCode === 0 || error.code === "commander.help";
}

/** The later one would count, and nobody be told. */
function refuseRepeats(command: Command): void {
  const given = new Set<string>();
  for (const option of command.options) {
    const takesOne = (option.required || option.optional) && !option.variadic;
    if (!takesOne) continue;
    command.on(`option:${option.name()}`, () => {
      if (given.has(option.name())) throw new UsageError(`--${option.name()} is given twice: leave one away`);
      given.add(option.name());
    });
  }
}

function refuseValues(command: Command): void {
  for (const [index, argument] of command.registeredArguments.entries()) {
    const value: unknown = command.processedArgs[index];
    if (argument.name() === "url" && typeof value === "string" && value.startsWith("memory:"))
      throw new UsageError(`${value} would end with this command: memory is for programs, give a path`);
    if (PLACES.has(argument.name()) && value === "")
      throw new UsageError(`the ${argument.name()} is an empty word: give a path; is a variable not set?`);
  }
  for (const option of command.options) {
    const value: unknown = command.getOptionValue(option.attributeName());
    if (value === "" && !MAY_BE_EMPTY.has(option.name()))
      throw new UsageError(`--${option.name()} is empty: leave it away, or give it a value`);
  }
}

function mistakeOf(error: CommanderError, command: Command): UsageError {
  const message = error.message
    .replace(/^error: /, "")
    .replaceAll("\n", " ")
    .replace(/\.$/, "");
  const hint = command.commands.length > 0 ? "lists the commands" : "shows what it takes";
  return new UsageError(`${message}; "${pathOf(command)} --help" ${hint}`, { cause: error });
}

/** `holdfast dataset create` and the like. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
