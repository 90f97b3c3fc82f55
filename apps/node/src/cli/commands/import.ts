import { HoldfastError } from "@holdfast/environment";
import type { Access } from "../../access.ts";
import { Importer } from "../importer.ts";
import { type ImportSource, openSource } from "../import-source.ts";
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

/** An import that did not come to the end of its source: what ended it, and how far it had come. */
export class ImportEndedError extends HoldfastError<string, { readonly records: number }> {
  constructor(cause: HoldfastError, records: number) {
    const least = cause.code === "ERR_HOLDFAST_INTERRUPTED" ? "at least " : "";
    const message = `${cause.message}; imported before it: ${least}${records}`;
    super(cause.code, cause.category, message, { ...cause.facts, records }, { cause });
  }
}

/**
 * Imports records, batch by batch; what stands before an error is imported.
 *
 * @throws {@link ImportEndedError} with the code of what ended it, naming the first record that cannot be imported.
 */
export async function runImport(command: ImportCommand, reach: ReachOptions): Promise<void> {
  const source = await openSource(command.path);
  try {
    await withAccess(command.url, reach, (access, signal) => importAll(command, source, access, signal));
  } finally {
    await source.close();
  }
}

async function importAll(
  { dataset, rule, batchCount, isJson, isQuiet }: ImportCommand,
  source: ImportSource,
  access: Access,
  signal: AbortSignal,
): Promise<void> {
  const progress = startProgress("import", isQuiet || source.totalBytes === 0);
  const importer = new Importer(access, dataset, batchCount);
  const startedMs = performance.now();
  let records = 0;
  try {
    for await (const record of source.records(signal)) {
      const adding = importer.add(toChange(record, records, rule));
      if (adding !== undefined) await adding;
      records += 1;
      progress.update(source.readBytes(), source.totalBytes);
    }
    await importer.finish();
  } catch (error) {
    const ended = await (signal.aborted ? importer.settle() : importer.finish()).then(
      () => error,
      (failure: unknown) => (signal.aborted ? error : failure),
    );
    throw ended instanceof HoldfastError ? new ImportEndedError(ended, importer.acknowledgedCount) : ended;
  } finally {
    progress.stop();
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const rate = Math.round(records / Math.max(seconds, 0.001));
  const way = access.via === "local member" ? "a local member" : "an own membership";
  await print(isJson, { records, seconds, recordsPerSecond: rate, dataset, via: access.via }, [
    `imported ${records} records into "${dataset}" in ${seconds.toFixed(1)} s (${rate}/s) through ${way}`,
  ]);
}
