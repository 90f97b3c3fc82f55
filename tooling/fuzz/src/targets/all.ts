import type { FuzzTarget } from "../target.ts";
import { blockTargets } from "./blocks.ts";
import { journalTargets } from "./journals.ts";
import { nbdTargets } from "./nbd.ts";
import { segmentTargets } from "./segments.ts";
import { sessionTargets } from "./sessions.ts";
import { streamTargets } from "./streams.ts";
import { structTargets } from "./structs.ts";

/** Every parser that takes bytes from a device or a peer. */
export async function makeTargets(): Promise<readonly FuzzTarget[]> {
  return [
    ...(await blockTargets()),
    ...structTargets(),
    ...sessionTargets(),
    ...(await streamTargets()),
    ...nbdTargets(),
    ...journalTargets(),
    ...(await segmentTargets()),
  ];
}
