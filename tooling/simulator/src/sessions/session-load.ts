/*
 * Sessions beside those of the members, put to the test by themselves: with windows so small that they are full all the time, servers
 * that come one after another, and callers that give up and are forgotten.
 *
 * The members' own sessions never fill their windows: what a member asks at a time is bounded by its locks and its flushes. What
 * disturbs these sessions is drawn from a stream of chance of their own, and leaves the members alone.
 */
import type { RandomStream } from "../world/random-stream.ts";
import type { SimulatedProcess } from "../world/process.ts";
import { Answerer, ANSWERER_HOST } from "./answerer.ts";
import { Caller } from "./caller.ts";
import type { SessionWorld } from "./session-world.ts";

/** Shorter and longer than it takes to be found dead. */
const BLOCKED_MIN_MS = 50;
const BLOCKED_MAX_MS = 500;

/** Longer than it takes to be forgotten. */
const AWAY_MIN_MS = 1000;
const AWAY_MAX_MS = 1500;

const DOWN_MAX_MS = 200;

const DISTURBANCES = ["reset", "half-open", "one-way", "one-way-in", "away", "restart", "pause"] as const;

/** Callers and the server of the time. */
export class SessionLoad {
  readonly #options: SessionWorld;
  readonly #random: RandomStream;
  #callers: readonly Caller[] = [];
  #answerer: Answerer | undefined;
  #term = 0n;
  #isStopping = false;

  constructor(options: SessionWorld) {
    this.#options = options;
    this.#random = options.world.random("sessions");
  }

  /** Callers that still ask or wait. */
  get runningCount(): number {
    return this.#callers.filter(({ isRunning }) => isRunning).length;
  }

  /** Sets the callers to work. */
  start(): void {
    const { callerCount } = this.#options.config;
    if (callerCount === 0) return;
    let answerer = this.#serve();
    this.#answerer = answerer;
    const newest = (): Answerer => {
      answerer = this.#answerer ?? answerer;
      return answerer;
    };
    this.#callers = Array.from(
      { length: callerCount },
      (_, index) => new Caller(this.#options, index, newest),
    );
    void this.#disturb();
  }

  /** Nothing is disturbed any more, and the callers come to an end. */
  stop(): void {
    this.#isStopping = true;
    for (const caller of this.#callers) {
      caller.process.resume();
      caller.stop();
    }
    this.#answerer?.process.resume();
    if (this.#answerer?.process.isDead === true) this.#answerer = this.#serve();
  }

  #serve(): Answerer {
    this.#term += 1n;
    return new Answerer(this.#options, this.#term);
  }

  async #disturb(): Promise<void> {
    const { world, config } = this.#options;
    while (true) {
      await world.sleep(this.#random.range(0, 2 * config.gapMs));
      if (this.#isStopping) return;
      const caller = this.#random.pick(this.#callers);
      if (caller !== undefined) this.#strike(caller.process);
    }
  }

  #strike(caller: SimulatedProcess): void {
    const { network } = this.#options;
    const { host } = caller;
    switch (this.#random.pick(DISTURBANCES)) {
      case "reset":
        network.cut(host, ANSWERER_HOST);
        break;
      case "half-open":
        network.forsake(host, ANSWERER_HOST);
        break;
      case "one-way":
        this.#block([[host, ANSWERER_HOST]], this.#random.range(BLOCKED_MIN_MS, BLOCKED_MAX_MS));
        break;
      case "one-way-in":
        this.#block([[ANSWERER_HOST, host]], this.#random.range(BLOCKED_MIN_MS, BLOCKED_MAX_MS));
        break;
      case "away": {
        const ways = [
          [host, ANSWERER_HOST],
          [ANSWERER_HOST, host],
        ] as const;
        this.#block(ways, this.#random.range(AWAY_MIN_MS, AWAY_MAX_MS));
        break;
      }
      case "restart":
        this.#restart();
        break;
      case "pause": {
        const stopped = this.#random.chance(0.5) ? caller : this.#answerer?.process;
        stopped?.pause();
        this.#later(this.#random.range(BLOCKED_MIN_MS, BLOCKED_MAX_MS), () => stopped?.resume());
        break;
      }
      case undefined:
    }
  }

  #block(ways: readonly (readonly [string, string])[], lastsMs: number): void {
    const { network } = this.#options;
    for (const [from, to] of ways) network.block(from, to);
    this.#later(lastsMs, () => {
      for (const [from, to] of ways) network.unblock(from, to);
    });
  }

  /** The next server has a later term. */
  #restart(): void {
    this.#answerer?.process.kill({ isSilent: this.#random.chance(0.5) });
    this.#later(this.#random.range(0, DOWN_MAX_MS), () => {
      if (this.#answerer?.process.isDead === true) this.#answerer = this.#serve();
    });
  }

  #later(ms: number, action: () => void): void {
    this.#options.world.after(ms, () => {
      if (!this.#isStopping) action();
    });
  }
}
