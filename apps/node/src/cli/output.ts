/*
 * Data goes to stdout, everything else to stderr; with --json, data and errors are JSON.
 */
import { HoldfastError } from "@holdfast/environment";

/** Writes a document: JSON in one line with `--json`, else the lines for people. */
export function print(isJson: boolean, document: unknown, lines: readonly string[]): void {
  process.stdout.write(isJson ? `${toJson(document)}\n` : lines.map((line) => `${line}\n`).join(""));
}

/** JSON in which 64-bit integers are hexadecimal strings, as everywhere in this program's output. */
export function toJson(document: unknown): string {
  return JSON.stringify(document, (_key, value: unknown) => (typeof value === "bigint" ? hex(value) : value));
}

/** 16 hexadecimal digits. */
export function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}

/** Tells an error: one line for people, or a JSON document. */
export function printError(isJson: boolean, error: unknown): void {
  const code = error instanceof HoldfastError ? error.code : "ERR_HOLDFAST_FAILURE";
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(
    isJson ? `${toJson({ error: { code, message } })}\n` : `holdfast: ${message} (${code})\n`,
  );
}

/**
 * Writes to stdout and waits when the reader is slow; resolves false once the reader is gone (`| head`).
 */
export function writeOut(text: string | Uint8Array): Promise<boolean> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error === undefined || error === null) resolve(true);
      else if ("code" in error && error.code === "EPIPE") resolve(false);
      else reject(error);
    });
  });
}
