import type { Change } from "@holdfast/member";
import { openSource } from "../import-source.ts";
import { print } from "../output.ts";
import { startProgress } from "../progress.ts";
import { type ReachOptions, withAccess } from "../reach.ts";
import { type KeyRule, toChange } from "../record-format.ts";

/** What to import, and how. */
export interface ImportCommand {
  readonly url: string;
  readonly path: string;
  readonly dataset: string;
  readonly rule: KeyRule;
  /** Records in one transaction. */
  readonly batchCount: number;
  readonly isJson: boolean;
  readonly isQuiet: boolean;
}

/** Batches under way at a time: the journal writes of several go together. */
const BATCHES_IN_FLIGHT = 4;

/** Bytes of one batch: well below the greatest message. */
const BATCH_BYTES_MAX = 512 * 1024;

/**
 * Imports records, batch by batch; what was imported before an error stays.
 *
 * @throws {@link UsageError} naming the first record that cannot be imported.
 */
export function runImport(command: ImportCommand, reach: ReachOptions): Promise<void> {
  const { url, path, dataset, rule, batchCount, isJson, isQuiet } = command;
  return withAccess(url, reach, async (access) => {
    const source = await openSource(path);
    const progress = startProgress("import", isQuiet || source.totalBytes === 0);
    const startedMs = performance.now();
    const flying = new Set<Promise<void>>();
    let [records, batch, bytes]: [number, Change[], number] = [0, [], 0];
    const send = async (): Promise<void> => {
      if (batch.length === 0) return;
      const task = access.batch(dataset, batch);
      [batch, bytes] = [[], 0];
      flying.add(task);
      task.then(() => flying.delete(task)).catch(() => {});
      if (flying.size >= BATCHES_IN_FLIGHT) await Promise.race(flying);
    };
    try {
      for await (const record of source.records) {
        const change = toChange(record, records, rule);
        records += 1;
        batch.push(change);
        bytes += change.key.length + (change.value?.length ?? 0);
        if (batch.length >= batchCount || bytes >= BATCH_BYTES_MAX) await send();
        progress.update(source.readBytes(), source.totalBytes);
      }
      await send();
    } finally {
      progress.stop();
      await Promise.all(flying);
    }
    const seconds = (performance.now() - startedMs) / 1000;
    const rate = Math.round(records / Math.max(seconds, 0.001));
    print(isJson, { records, seconds, recordsPerSecond: rate, dataset, via: access.via }, [
      `imported ${records} records into "${dataset}" in ${seconds.toFixed(1)} s (${rate}/s) through ${access.via === "local member" ? "a local member" : "an own membership"}`,
    ]);
  });
}
