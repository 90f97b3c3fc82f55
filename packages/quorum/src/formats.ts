import type { Format } from "@holdfast/wire-format";
import { HintBody } from "./hint.ts";
import { RecordBody } from "./record.ts";
import { SplitterMark } from "./slot.ts";

/** The structs of this package that stand on a volume; they are part of its format hash. */
export const QUORUM_FORMATS: readonly Format[] = [SplitterMark, RecordBody, HintBody];
