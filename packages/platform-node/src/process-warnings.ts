import type { Logger } from "@holdfast/environment";

/**
 * A logger for programs that have none: what somebody should look at becomes a warning of the process
 * (`process.on("warning", …)`, on stderr unless Node.js is told otherwise); all else is dropped.
 */
export const processWarnings: Logger = { debug: drop, info: drop, warn, error: warn };

function warn(facts: object, message: string): void {
  const { event, ...rest } = facts as { readonly event?: unknown };
  const words = Object.entries(rest).map(([name, value]) => `${name} ${textOf(value)}`);
  process.emitWarning(words.length === 0 ? message : `${message}: ${words.join(", ")}`, {
    type: "HoldfastWarning",
    code: String(event),
  });
}

function textOf(value: unknown): string {
  return value instanceof Error ? `"${value.message}"` : String(value);
}

function drop(): void {}
