/*
 * Data goes to stdout, everything else to stderr; with --json, data and errors are JSON.
 */
import { HoldfastError } from "@holdfast/environment";

/** Writes a document: JSON in one line with `--json`, else the lines for people. */
export async function print(isJson: boolean, document: unknown, lines: readonly string[]): Promise<void> {
  await writeOut(isJson ? `${toJson(document)}\n` : lines.map((line) => `${line}\n`).join(""));
}

/** JSON in which 64-bit integers are hexadecimal strings, as everywhere in this program's output. */
export function toJson(document: unknown): string {
  return JSON.stringify(document, (_key, value: unknown) => (typeof value === "bigint" ? hex(value) : value));
}

/** 16 hexadecimal digits. */
export function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}

/** Tells an error: one line for people, or a JSON document. A bug of this program shows where it happened. */
export function printError(isJson: boolean, error: unknown): void {
  const { code, message } = describe(error);
  process.stderr.write(
    isJson ? `${toJson({ error: { code, message } })}\n` : `holdfast: ${message} (${code})\n`,
  );
}

/** Tells what went well, but should not stay as it is. */
export function printWarning(isJson: boolean, message: string): void {
  process.stderr.write(isJson ? `${toJson({ warning: { message } })}\n` : `holdfast: warning: ${message}\n`);
}

/**
 * Writes to stdout and waits when the reader is slow; resolves false once the reader is gone (`| head`).
 */
export function writeOut(text: string | Uint8Array): Promise<boolean> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error === undefined || error === null) resolve(true);
      else if (isReaderGone(error)) resolve(false);
      else reject(error);
    });
  });
}

/**
 * Errors of stdout are told to whoever writes, by {@link writeOut}; here they would end the process at once. What cannot be told
 * on stderr cannot be told at all: the exit code stays.
 */
export function guardOutput(): void {
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
}

function isReaderGone(error: Error): boolean {
  return "code" in error && (error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED");
}

function describe(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof HoldfastError) return error;
  if (error instanceof RangeError) return { code: "ERR_HOLDFAST_USAGE", message: error.message };
  if (!(error instanceof Error)) return { code: "ERR_HOLDFAST_INTERNAL", message: String(error) };
  const isSystems = "syscall" in error;
  return {
    code: isSystems ? "ERR_HOLDFAST_SYSTEM" : "ERR_HOLDFAST_INTERNAL",
    message: isSystems ? error.message : (error.stack ?? error.message),
  };
}
