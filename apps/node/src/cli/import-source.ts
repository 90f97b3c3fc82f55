/*
 * Records of an import: a JSON array, or JSON lines, read as a stream so that the size of the file does not matter.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { PassThrough, type Readable } from "node:stream";
import { JSONParser } from "@streamparser/json";
import { UsageError } from "./exit-codes.ts";

/** One record and where it came from. */
export interface SourceRecord {
  readonly value: unknown;
  /** For messages: `line 12` or `element 11`. */
  readonly where: string;
}

/** A source of records. */
export interface ImportSource {
  /** Bytes in the source, 0 if unknown. */
  readonly totalBytes: number;
  /** Bytes read so far. */
  readonly readBytes: () => number;
  readonly records: AsyncGenerator<SourceRecord, void, void>;
}

/** Opens a file, or standard input for `-`; a source that begins with `[` is an array. */
export async function openSource(path: string): Promise<ImportSource> {
  const totalBytes = path === "-" ? 0 : (await stat(path)).size;
  const input: Readable = path === "-" ? process.stdin : createReadStream(path);
  let readBytes = 0;
  const counted = input.pipe(
    new PassThrough({
      transform(chunk: Buffer, _encoding, done) {
        readBytes += chunk.length;
        done(null, chunk);
      },
    }),
  );
  input.on("error", (error) => counted.destroy(error));
  return { totalBytes, readBytes: () => readBytes, records: read(counted) };
}

async function* read(input: Readable): AsyncGenerator<SourceRecord, void, void> {
  const isArray = (await firstCharacter(input)) === "[";
  yield* isArray ? elements(input) : lines(input);
}

/** The first character that is no white space, without consuming anything. */
async function firstCharacter(input: Readable): Promise<string> {
  for await (const chunk of input.iterator({ destroyOnReturn: false })) {
    // The stream gives bytes.
    const bytes = chunk as Buffer;
    input.unshift(bytes);
    return bytes.toString("utf8").trimStart().charAt(0);
  }
  return "";
}

async function* elements(input: Readable): AsyncGenerator<SourceRecord, void, void> {
  const parser = new JSONParser({ paths: ["$.*"], keepStack: false });
  let ready: SourceRecord[] = [];
  let count = 0;
  let failure: Error | undefined;
  parser.onValue = ({ value }) => {
    ready.push({ value, where: `element ${count}` });
    count += 1;
  };
  parser.onError = (error) => {
    failure ??= error;
  };
  for await (const chunk of input) {
    // The stream gives bytes.
    if (!parser.isEnded) parser.write(chunk as Buffer);
    if (failure !== undefined)
      throw new UsageError(`after element ${count - 1}: ${failure.message}`, { cause: failure });
    yield* ready;
    ready = [];
  }
  if (!parser.isEnded) throw new UsageError(`the array ends in the middle, after element ${count - 1}`);
}

async function* lines(input: Readable): AsyncGenerator<SourceRecord, void, void> {
  let number = 0;
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    number += 1;
    if (line.trim() === "") continue;
    yield { value: parseLine(line, number), where: `line ${number}` };
  }
}

function parseLine(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new UsageError(
      `line ${number} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}
