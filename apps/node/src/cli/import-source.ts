/*
 * Records of an import: a JSON array, or JSON lines, read as a stream so that the size of the file does not matter.
 *
 * Every record that can be read is given before the error of the one behind it. Lines end at "\n" alone: other
 * separators of lines are legal within JSON text.
 */
import { type FileHandle, open } from "node:fs/promises";
import { addAbortSignal, type Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { JSONParser } from "@streamparser/json";
import { FileError, UsageError } from "./exit-codes.ts";

/** One record and where it came from. */
export interface SourceRecord {
  readonly value: unknown;
  /** The record as it stands in the source, where that is known: JSON loses digits of long numbers. */
  readonly text?: string;
  /** For messages: `line 12` or `element 11`. */
  readonly where: string;
}

/** A source of records. */
export interface ImportSource {
  /** Bytes in the source, 0 if unknown. */
  readonly totalBytes: number;
  /** Bytes read so far. */
  readonly readBytes: () => number;
  /** The records, once. Ends with the signal's reason when it aborts. */
  records(signal: AbortSignal): AsyncGenerator<SourceRecord, void, void>;
  close(): Promise<void>;
}

/** Longest line, in characters: several times the longest value, escaped. */
const LINE_LENGTH_MAX = 1024 * 1024;

/**
 * Opens a file, or standard input for `-`; a source that begins with `[` is an array.
 *
 * @throws {@link FileError} `ERR_HOLDFAST_FILE` when the file cannot be read.
 */
export async function openSource(path: string): Promise<ImportSource> {
  const file = path === "-" ? undefined : await openFile(path);
  let readBytes = 0;
  return {
    totalBytes: file === undefined ? 0 : (await file.stat()).size,
    readBytes: () => readBytes,
    records: (signal) => {
      const stream = file === undefined ? process.stdin : file.createReadStream({ autoClose: false });
      return read(chunks(addAbortSignal(signal, stream)));
    },
    close: async () => file?.close(),
  };

  async function* chunks(stream: Readable): AsyncGenerator<string, void, void> {
    const decoder = new StringDecoder("utf8");
    try {
      for await (const chunk of stream) {
        // The stream gives bytes.
        const bytes = chunk as Buffer;
        const text = decoder.write(bytes);
        yield readBytes === 0 && text.startsWith("\uFEFF") ? text.slice(1) : text;
        readBytes += bytes.length;
      }
    } catch (error) {
      // What aborts the stream wraps the reason.
      throw error instanceof Error && error.name === "AbortError"
        ? error.cause
        : new FileError("read", path, error);
    }
    yield decoder.end();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    if ((await file.stat()).isDirectory()) throw new Error("it is a directory");
    return file;
  } catch (error) {
    await file?.close();
    throw new FileError("read", path, error);
  }
}

async function* read(chunks: AsyncGenerator<string, void, void>): AsyncGenerator<SourceRecord, void, void> {
  let head = "";
  for (;;) {
    const next = await chunks.next();
    if (next.done === true) break;
    head += next.value;
    if (head.trimStart() !== "") break;
    // White space before the first record is not kept, but its lines count.
    if (head.length > LINE_LENGTH_MAX) throw new UsageError(`the source begins with white space without end`);
  }
  yield* head.trimStart().startsWith("[") ? elements(head, chunks) : lines(head, chunks);
}

async function* elements(
  head: string,
  chunks: AsyncGenerator<string, void, void>,
): AsyncGenerator<SourceRecord, void, void> {
  const parser = new JSONParser({ paths: ["$.*"], keepStack: false });
  let ready: SourceRecord[] = [];
  let [count, failure]: [number, Error | undefined] = [0, undefined];
  parser.onValue = ({ value }) => {
    ready.push({ value, where: `element ${count}` });
    count += 1;
  };
  parser.onError = (error) => {
    failure ??= error;
  };
  for (
    let text: string | undefined = head;
    text !== undefined;
    text = (await chunks.next()).value ?? undefined
  ) {
    if (!parser.isEnded) parser.write(text);
    else if (text.trim() !== "") failure ??= new Error("there is more behind the end of the array");
    yield* ready;
    ready = [];
    if (failure !== undefined)
      throw new UsageError(`element ${count} cannot be read: ${failure.message}`, { cause: failure });
  }
  if (!parser.isEnded) throw new UsageError(`the array ends in the middle, in element ${count}`);
}

async function* lines(
  head: string,
  chunks: AsyncGenerator<string, void, void>,
): AsyncGenerator<SourceRecord, void, void> {
  let [number, rest] = [0, ""];
  for (
    let text: string | undefined = head;
    text !== undefined;
    text = (await chunks.next()).value ?? undefined
  ) {
    const parts = `${rest}${text}`.split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      number += 1;
      yield* parseLine(line, number);
    }
    if (rest.length > LINE_LENGTH_MAX)
      throw new UsageError(`line ${number + 1} has more than ${LINE_LENGTH_MAX} characters: no record can`);
  }
  yield* parseLine(rest, number + 1);
}

function* parseLine(line: string, number: number): Generator<SourceRecord, void, void> {
  const text = line.trim();
  if (text === "") return;
  yield { value: parse(text, number), text, where: `line ${number}` };
}

function parse(text: string, number: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`line ${number} is not JSON: ${reason}`, { cause });
  }
}
