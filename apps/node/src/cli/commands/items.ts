/*
 * Commands on single items and on ranges of them.
 */
import { type FileHandle, open, unlink } from "node:fs/promises";
import type { AccessScan } from "../../access.ts";
import { checkItem } from "../../check-item.ts";
import { FileError, NotFoundError } from "../exit-codes.ts";
import { print, toJson, writeOut } from "../output.ts";
import { type ReachOptions, withAccess } from "../reach.ts";
import { toExported } from "../record-format.ts";

/** More than the longest value, so that a longer one is still refused as such. */
const STANDARD_INPUT_BYTES_MAX = 1024 * 1024;

/** Where a command works. */
export interface ItemsTarget {
  readonly url: string;
  readonly dataset: string;
  readonly isJson: boolean;
}

/** Prints the value of a key as it is; with `--json`, as an exported record. */
export async function runGet(
  { url, dataset, isJson }: ItemsTarget,
  key: string,
  reach: ReachOptions,
): Promise<void> {
  checkItem(Buffer.from(key), undefined);
  await withAccess(url, reach, async (access) => {
    const value = await access.get(dataset, key);
    if (value === undefined) throw new NotFoundError(`there is no key "${key}" in dataset "${dataset}"`);
    if (isJson) {
      await print(true, toExported({ key: Buffer.from(key), value }), []);
      return;
    }
    await writeOut(value);
    if (process.stdout.isTTY) await writeOut("\n");
  });
}

/** Puts one value; `-` reads it from standard input. */
export async function runPut(
  { url, dataset, isJson }: ItemsTarget,
  item: { readonly key: string; readonly value: string },
  reach: ReachOptions,
): Promise<void> {
  const value = item.value === "-" ? await standardInput() : Buffer.from(item.value);
  checkItem(Buffer.from(item.key), value);
  await withAccess(url, reach, async (access) => {
    await access.batch(dataset, [{ key: item.key, value }]);
    await print(isJson, { key: item.key, bytes: value.length, dataset }, []);
  });
}

/** Deletes keys, all at once. */
export async function runDelete(
  { url, dataset, isJson }: ItemsTarget,
  keys: readonly string[],
  reach: ReachOptions,
): Promise<void> {
  for (const key of keys) checkItem(Buffer.from(key), undefined);
  await withAccess(url, reach, async (access) => {
    await access.batch(
      dataset,
      keys.map((key) => ({ key })),
    );
    await print(isJson, { deleted: keys.length, dataset }, []);
  });
}

/** Prints items in order: key and value with a tab between, or one JSON record a line. */
export function runScan(
  { url, dataset, isJson }: ItemsTarget,
  scan: AccessScan,
  reach: ReachOptions,
): Promise<void> {
  return withAccess(url, reach, async (access) => {
    for await (const page of access.pages(dataset, scan)) {
      const text = page.map((entry) => {
        const record = toExported(entry);
        return isJson ? `${toJson(record)}\n` : `${record.key}\t${record.value}\n`;
      });
      if (!(await writeOut(text.join("")))) return;
    }
  });
}

/** Writes a whole dataset as JSON lines to a new file, or to standard output for `-`. */
export async function runExport(
  { url, dataset, isJson }: ItemsTarget,
  path: string,
  reach: ReachOptions,
): Promise<void> {
  if (path === "-") return runScan({ url, dataset, isJson: true }, {}, reach);
  const file = await createFile(path);
  try {
    const records = await withAccess(url, reach, async (access) => {
      let count = 0;
      for await (const page of access.pages(dataset, {})) {
        await writeTo(file, path, page.map((entry) => `${toJson(toExported(entry))}\n`).join(""));
        count += page.length;
      }
      return count;
    });
    await file.sync();
    await print(isJson, { records, dataset, path }, [
      `exported ${records} records of "${dataset}" to ${path}`,
    ]);
  } catch (error) {
    // Half an export looks like a whole one.
    await unlink(path);
    throw error;
  } finally {
    await file.close();
  }
}

async function createFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx");
  } catch (error) {
    throw new FileError("write", path, error);
  }
}

async function writeTo(file: FileHandle, path: string, text: string): Promise<void> {
  try {
    await file.writeFile(text);
  } catch (error) {
    throw new FileError("write", path, error);
  }
}

/** Standard input, to its end or to more than a value can have. */
async function standardInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of process.stdin) {
      // Standard input gives bytes.
      chunks.push(chunk as Buffer);
      bytes += chunks.at(-1)?.length ?? 0;
      if (bytes > STANDARD_INPUT_BYTES_MAX) break;
    }
  } catch (error) {
    throw new FileError("read", "standard input", error);
  }
  return Buffer.concat(chunks);
}
