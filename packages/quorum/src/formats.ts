import type { Format } from "@holdfast/wire-format";
import { ElectionHeader } from "./election-header.ts";
import { HintBody } from "./hint.ts";
import { RecordBody } from "./record.ts";
import { SplitterMark } from "./slot.ts";

/** The struct of a device that holds an election alone; no part of a volume. */
export const ELECTION_FORMATS: readonly Format[] = [ElectionHeader];

/** The structs of this package that stand on a volume; they are part of its format hash. */
export const QUORUM_FORMATS: readonly Format[] = [SplitterMark, RecordBody, HintBody];
