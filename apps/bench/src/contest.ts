/*
 * How a row comes about: ours and every peer in turn, round after round, and the median of each.
 *
 * Machines are noisy for seconds at a time. What is measured in turns meets the same noise, so the ratio within a
 * round holds where its figures do not, and a row's ratio is the median of its rounds' ratios. The first round is not
 * counted: it compiles the code and fills the caches.
 */

/** One measured row. */
export interface Row {
  /** What was measured. */
  readonly row: string;
  /** Unit of the figures. */
  readonly unit: string;
  /** Median of our runs. */
  readonly ours: number;
  /** Median of each peer's runs, by the peer's name; empty when there is none to compare with. */
  readonly peers: Readonly<Record<string, number>>;
  /** How many times better than the best peer we are, whichever direction is better; absent without peers. */
  readonly ratio?: number;
  /** The same beside each peer: the median of the rounds' own ratios. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Least ratios that are aimed at, by the peer's name. */
  readonly goals: Readonly<Record<string, number>>;
  /** Counted runs of each side. */
  readonly runs: number;
  /** Greatest of our runs divided by the least: how noisy the row is. */
  readonly spread: number;
  /** Figures of all runs in their order, ours and the peers', where the row is of single events; for `--json`. */
  readonly values?: {
    readonly ours: readonly number[];
    readonly peers: Readonly<Record<string, readonly number[]>>;
  };
}

/** Runs one measurement and gives its figure. */
export type Measure = () => Promise<number>;

/** A row to be measured. */
export interface Contest {
  readonly row: string;
  readonly unit: string;
  /** True for times, false for rates. */
  readonly isLowerBetter: boolean;
  /** Counted runs of each side, at least 1. */
  readonly runs: number;
  readonly ours: Measure;
  readonly peers: Readonly<Record<string, Measure>>;
  /** Least ratios that are aimed at, by the peer's name; none unless told. */
  readonly goals?: Readonly<Record<string, number>>;
}

/** Measures a row. */
export async function measureRow(contest: Contest): Promise<Row> {
  const { row, unit, runs, isLowerBetter, goals = {} } = contest;
  const ours: number[] = [];
  const peers = Object.entries(contest.peers).map(([name, measure]) => ({
    name,
    measure,
    values: [] as number[],
    ratios: [] as number[],
  }));
  for (let round = 0; round <= runs; round += 1) {
    const figure = await contest.ours();
    if (round > 0) ours.push(figure);
    for (const { measure, values, ratios } of peers) {
      const peerFigure = await measure();
      if (round === 0) continue;
      values.push(peerFigure);
      ratios.push(isLowerBetter ? peerFigure / figure : figure / peerFigure);
    }
  }
  const ratios = Object.fromEntries(peers.map((peer) => [peer.name, median(peer.ratios)]));
  return {
    row,
    unit,
    ours: median(ours),
    peers: Object.fromEntries(peers.map(({ name, values }) => [name, median(values)])),
    ...(peers.length === 0 ? {} : { ratio: Math.min(...Object.values(ratios)) }),
    ratios,
    goals,
    runs,
    spread: Math.max(...ours) / Math.min(...ours),
  };
}

/** The middle value; the mean of the two middle ones of an even number. NaN of none. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >>> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Things done per second: `count` divided by the time that `work` takes. */
export async function ratePerSecond(count: number, work: () => Promise<void> | void): Promise<number> {
  const startMs = performance.now();
  await work();
  return (count / (performance.now() - startMs)) * 1000;
}

/** Lets the event loop have its turn: a member that never does loses its connection. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
