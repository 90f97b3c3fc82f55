/*
 * Commands on single items and on ranges of them.
 */
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import type { AccessScan } from "../../access.ts";
import { NotFoundError } from "../exit-codes.ts";
import { print, toJson, writeOut } from "../output.ts";
import { type ReachOptions, withAccess } from "../reach.ts";
import { toExported } from "../record-format.ts";

/** Where a command works. */
export interface ItemsTarget {
  readonly url: string;
  readonly dataset: string;
  readonly isJson: boolean;
}

/** Prints the value of a key as it is; with `--json`, as an exported record. */
export function runGet(
  { url, dataset, isJson }: ItemsTarget,
  key: string,
  reach: ReachOptions,
): Promise<void> {
  return withAccess(url, reach, async (access) => {
    const value = await access.get(dataset, key);
    if (value === undefined) throw new NotFoundError(`there is no key "${key}" in dataset "${dataset}"`);
    if (isJson) return print(true, toExported({ key: Buffer.from(key), value }), []);
    await writeOut(value);
    if (process.stdout.isTTY) await writeOut("\n");
  });
}

/** Puts one value; `-` reads it from standard input. */
export function runPut(
  { url, dataset, isJson }: ItemsTarget,
  item: { readonly key: string; readonly value: string },
  reach: ReachOptions,
): Promise<void> {
  return withAccess(url, reach, async (access) => {
    const value = item.value === "-" ? await standardInput() : Buffer.from(item.value);
    await access.batch(dataset, [{ key: item.key, value }]);
    print(isJson, { key: item.key, bytes: value.length, dataset }, []);
  });
}

/** Deletes keys, all at once. */
export function runDelete(
  { url, dataset, isJson }: ItemsTarget,
  keys: readonly string[],
  reach: ReachOptions,
): Promise<void> {
  return withAccess(url, reach, async (access) => {
    await access.batch(
      dataset,
      keys.map((key) => ({ key })),
    );
    print(isJson, { deleted: keys.length, dataset }, []);
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

/** Writes a whole dataset as JSON lines to a file, or to standard output for `-`. */
export function runExport(
  { url, dataset, isJson }: ItemsTarget,
  path: string,
  reach: ReachOptions,
): Promise<void> {
  return withAccess(url, reach, async (access) => {
    let records = 0;
    const file = path === "-" ? undefined : createWriteStream(path, { flags: "wx" });
    if (file !== undefined) await once(file, "open");
    for await (const page of access.pages(dataset, {})) {
      const text = page.map((entry) => `${toJson(toExported(entry))}\n`).join("");
      records += page.length;
      if (file === undefined) {
        if (!(await writeOut(text))) return;
      } else if (!file.write(text)) await once(file, "drain");
    }
    if (file === undefined) return;
    file.end();
    await once(file, "close");
    print(isJson, { records, dataset, path }, [`exported ${records} records of "${dataset}" to ${path}`]);
  });
}

async function standardInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // Standard input gives bytes.
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
