/*
 * Messages between two processes: a session beside an echo that batches equally and does nothing else, and beside
 * what people would use instead.
 */
import { join } from "node:path";
import { type Child, startChild } from "../child.ts";
import { measureRow, type Row } from "../contest.ts";
import { withDirectory } from "../scratch.ts";
import type { MessagingSizes } from "../sizes.ts";
import type { BodyName } from "./bodies.ts";
import type { ContestantName } from "./contestants.ts";
import { measureResets } from "./resets.ts";

/** Length of the first run of each contestant, in those that count; it is not counted. V8 goes on compiling for seconds. */
const WARM_RUNS = 10;

/**
 * How long requests go before a rate counts them. Linux wakes a process where the one runs that wakes it: after a pause
 * both share one processor until it moves one of them, which takes it 20 to 60 ms.
 */
const RAMP_MS = 100;

/** Contestants that meet each other, and the least ratios that are aimed at. */
interface Heat {
  readonly title: string;
  readonly isUnix: boolean;
  readonly bodies: BodyName;
  readonly peers: readonly ContestantName[];
  /** Requests under way in each row, 0 for one at a time, which is measured as a round trip. */
  readonly rows: readonly { readonly outstanding: number; readonly goals: Goals }[];
}

type Goals = Readonly<Partial<Record<ContestantName, number>>>;

/** A round trip takes at most 1.5 times that of the bare echo. */
const ROUND_TRIP: Goals = { "bare echo": 1 / 1.5 };
const RAW: Goals = { "bare echo": 0.7, ws: 8, "grpc-js": 25 };
const MSGPACK: Goals = { "grpc-js": 4 };

const RAW_ROWS: Heat["rows"] = [
  { outstanding: 0, goals: ROUND_TRIP },
  { outstanding: 64, goals: RAW },
  { outstanding: 1024, goals: RAW },
];

const HEATS: readonly Heat[] = [
  {
    title: "TCP",
    isUnix: false,
    bodies: "raw",
    peers: ["bare echo", "ws", "grpc-js", "session, sleeps"],
    rows: RAW_ROWS,
  },
  {
    title: "Unix socket",
    isUnix: true,
    bodies: "raw",
    peers: ["bare echo", "session, sleeps"],
    rows: RAW_ROWS,
  },
  {
    title: "TCP, MessagePack",
    isUnix: false,
    bodies: "msgpack",
    peers: ["bare echo", "ws", "grpc-js"],
    rows: [
      { outstanding: 64, goals: MSGPACK },
      { outstanding: 1024, goals: MSGPACK },
    ],
  },
];

/** Measures the messaging rows. */
export async function measureMessaging(sizes: MessagingSizes): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const heat of HEATS)
    rows.push(...(await withDirectory((directory) => measureHeat(heat, directory, sizes))));
  rows.push(await measureResets(sizes));
  return rows;
}

async function measureHeat(
  heat: Heat,
  directory: string,
  { durationMs, rounds: runs }: MessagingSizes,
): Promise<readonly Row[]> {
  const pairs = new Map<ContestantName, Pair>();
  try {
    const names = ["session", ...heat.peers] as const;
    await Promise.all(names.map(async (name) => pairs.set(name, await startPair(name, heat, directory))));
    // On a busy machine the compiler waits for a processor: who has more code would be measured half compiled.
    for (const { load } of pairs.values()) await load.ask(`64 ${WARM_RUNS * durationMs}`);
    const rows: Row[] = [];
    for (const { outstanding, goals } of heat.rows) {
      const figureOf = (name: ContestantName) => async (): Promise<number> =>
        Number(await pairs.get(name)?.load.ask(`${outstanding} ${durationMs} ${RAMP_MS}`));
      const contest = (
        row: string,
        name: ContestantName,
        peers: readonly ContestantName[],
        goals: Goals,
      ): Promise<Row> =>
        measureRow({
          row,
          unit: outstanding === 0 ? "µs" : "requests/s",
          isLowerBetter: outstanding === 0,
          runs,
          ours: figureOf(name),
          peers: Object.fromEntries(peers.map((peer) => [peer, figureOf(peer)])),
          goals,
        });
      const row = `${heat.title}, ${outstanding === 0 ? "round trip, p50" : `${outstanding} outstanding`}`;
      rows.push(await contest(row, "session", heat.peers, goals));
      // What the limit itself reaches beside those we are aimed at: no session can be far ahead of it.
      const aimedAt = heat.peers.filter((peer) => peer !== "bare echo" && peer in goals);
      if (aimedAt.length > 0 && heat.peers.includes("bare echo"))
        rows.push(await contest(`${row}: the bare echo itself`, "bare echo", aimedAt, {}));
    }
    return rows;
  } finally {
    await Promise.all([...pairs.values()].flatMap(({ load, echo }) => [load.stop(), echo.stop()]));
  }
}

interface Pair {
  readonly echo: Child;
  readonly load: Child;
}

async function startPair(name: ContestantName, { isUnix, bodies }: Heat, directory: string): Promise<Pair> {
  const place = isUnix ? [join(directory, `${name}.sock`)] : [];
  const echo = await startChild("messaging/echo-process.js", [name, bodies, ...place]);
  const load = await startChild("messaging/load-process.js", [name, bodies, echo.greeting]);
  return { echo: echo.child, load: load.child };
}
