import type { Row } from "./contest.ts";
import { measureFailover } from "./failover/failover-suite.ts";
import { measureItems } from "./items/items-suite.ts";
import { measureLocks } from "./locks/locks-suite.ts";
import { measureMessaging } from "./messaging/messaging-suite.ts";
import { measureSessions } from "./sessions/sessions-suite.ts";
import { measureSegments } from "./segments/segments-suite.ts";
import type { Sizes } from "./sizes.ts";
import { measureStreams } from "./streams/streams-suite.ts";

/** Names of the suites. */
export type SuiteName = "messaging" | "streams" | "locks" | "items" | "segments" | "failover" | "sessions";

/** Each suite by its name, in the order in which `all` runs them. */
export const SUITES: Readonly<Record<SuiteName, (sizes: Sizes) => Promise<readonly Row[]>>> = {
  messaging: ({ messaging }) => measureMessaging(messaging),
  streams: ({ streams }) => measureStreams(streams),
  locks: ({ locks, runs }) => measureLocks(locks, runs),
  items: ({ items, runs }) => measureItems(items, runs),
  failover: ({ failover }) => measureFailover(failover),
  sessions: ({ sessions }) => measureSessions(sessions),
  segments: ({ segments, runs }) => measureSegments(segments, runs),
};

/** The names in order. */
export const SUITE_NAMES: readonly SuiteName[] = [
  "messaging",
  "streams",
  "locks",
  "items",
  "segments",
  "failover",
  "sessions",
];
