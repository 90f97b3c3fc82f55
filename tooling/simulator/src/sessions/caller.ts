/*
 * A member of nothing but a session: asks more than its window holds, gives some questions up at any moment, and starts
 * afresh where a server has forgotten it.
 *
 * Whoever has not given up a question gets its answer, unless its session ends.
 */
import { CancelledError, deferred, makeAborter } from "@holdfast/environment";
import { CALL_ABORTED, type ClientSession, RequestError, startClientSession } from "@holdfast/net-reliable";
import type { RandomStream } from "../world/random-stream.ts";
import type { SimulatedPorts } from "../world/ports.ts";
import type { SimulatedProcess } from "../world/process.ts";
import { type Answerer, NUMBER_BYTES } from "./answerer.ts";
import {
  COMMAND_ASK,
  COMMAND_INTRODUCE,
  limitsOf,
  portsIn,
  SESSION_KEY,
  SESSION_TIMING,
  type SessionWorld,
} from "./session-world.ts";

/** A caller asks many questions at once, this often. */
const PAUSE_MAX_MS = 150;

/** Questions at once: so many windows. */
const WINDOWS = 2;

/** So many questions are given up within {@link PATIENCE_MAX_MS}. */
const GIVEN_UP_PROBABILITY = 0.25;
const PATIENCE_MAX_MS = 40;

/** A caller whose session has ended looks so often for its next one. */
const POLL_MS = 20;

/** One caller, in a process of its own. */
export class Caller {
  readonly process: SimulatedProcess;
  readonly #options: SessionWorld;
  readonly #answerer: () => Answerer;
  readonly #ports: SimulatedPorts;
  readonly #random: RandomStream;
  readonly #window: number;
  /** Questions without an end, by their number, in order. */
  readonly #open: Set<number> = new Set();
  #session: ClientSession;
  #number = 0;
  #wasForgotten = false;
  #full: "count" | "bytes" | undefined;
  #isStopping = false;
  #isRunning = true;

  constructor(options: SessionWorld, index: number, answerer: () => Answerer) {
    const { world, config } = options;
    const host = `caller-${index + 1}`;
    this.#options = options;
    this.#answerer = answerer;
    this.#window = config.requestsInFlightMax;
    this.#random = world.random(`sessions/${host}`);
    this.process = world.startProcess(host);
    this.#ports = portsIn(options, this.process);
    this.#session = this.#connect();
    void this.#run();
  }

  /** True while it asks or waits for an answer. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** It asks one last question, which must be answered. */
  stop(): void {
    this.#isStopping = true;
  }

  #connect(): ClientSession {
    return startClientSession(
      {
        identity: { key: SESSION_KEY },
        timing: SESSION_TIMING,
        limits: limitsOf(this.#options.config),
        findServer: () => Promise.resolve(this.#answerer().address),
        onServer: ({ call }) =>
          new Promise((resolve, reject) => {
            call(COMMAND_INTRODUCE, new Uint8Array(0), (error) => {
              if (error !== 0) return reject(new Error(`the introduction was refused: ${error}`));
              if (this.#wasForgotten) this.#options.counters.add("session-forgotten");
              this.#wasForgotten = false;
              resolve();
            });
          }),
        onRefused: () => {
          this.#wasForgotten = true;
        },
      },
      this.#ports,
    );
  }

  async #run(): Promise<void> {
    const { world } = this.#options;
    while (!this.#isStopping) {
      await world.sleep(this.#random.range(1, PAUSE_MAX_MS));
      if (this.#open.size >= WINDOWS * this.#window) continue;
      const count = this.#random.between(1, WINDOWS * this.#window);
      this.process.post("message", () => {
        for (let asked = 0; asked < count; asked++) void this.#ask(this.#random.chance(GIVEN_UP_PROBABILITY));
      });
    }
    while (this.#open.size > 0) await world.sleep(POLL_MS);
    let isAnswered = false;
    while (!isAnswered) {
      const asked = deferred<boolean>();
      this.process.post("message", () => void this.#ask(false).then((is) => asked.resolve(is)));
      isAnswered = await asked.promise;
    }
    this.process.kill();
    this.#isRunning = false;
  }

  /** Asks one question; true if it was answered. */
  async #ask(isGivenUp: boolean): Promise<boolean> {
    const { clock } = this.#ports;
    if (this.#wasForgotten && this.#open.size === 0) this.#session = this.#connect();
    this.#number += 1;
    const number = this.#number;
    const body = new Uint8Array(this.#random.between(NUMBER_BYTES, this.#options.config.requestBytesMax / 2));
    new DataView(body.buffer).setUint32(0, number, true);
    const aborter = makeAborter();
    if (isGivenUp)
      clock.at(clock.now() + this.#random.range(0, PATIENCE_MAX_MS), () => {
        this.#countGivenUp(number);
        aborter.abort();
      });
    this.#open.add(number);
    try {
      const answer = this.#session.request(COMMAND_ASK, body, aborter.signal);
      this.#look();
      this.#judge(number, await answer);
      return true;
    } catch (error) {
      this.#judgeError(error, isGivenUp);
      return false;
    } finally {
      this.#open.delete(number);
      this.#look();
    }
  }

  /** Counts in which state a question is given up. */
  #countGivenUp(number: number): void {
    const { counters } = this.#options;
    if (!this.#open.has(number)) return;
    const waiting = [...this.#open].slice(this.#open.size - this.#session.stats().waitingCount);
    if (waiting.includes(number)) counters.add("cancelled-waiting");
    else if (this.#answerer().hasHeard(this.#session.rid, number)) counters.add("cancelled-heard");
    else counters.add("cancelled-under-way");
  }

  /** Counts windows that were full and opened again. */
  #look(): void {
    const { pendingCount, waitingCount } = this.#session.stats();
    if (waitingCount > 0) {
      this.#full = pendingCount >= this.#window ? "count" : "bytes";
    } else if (this.#full !== undefined) {
      this.#options.counters.add(`window-full-${this.#full}`);
      this.#full = undefined;
    }
  }

  #judge(number: number, answer: Uint8Array): void {
    const answered = new DataView(answer.buffer, answer.byteOffset, NUMBER_BYTES).getUint32(0, true);
    if (answered !== number) this.#complain(`question ${number} got the answer of question ${answered}`);
  }

  /** A question may end without an answer when it was given up, or when its session has ended. */
  #judgeError(error: unknown, isGivenUp: boolean): void {
    if (error instanceof CancelledError && isGivenUp) return;
    if (error instanceof RequestError && error.facts.error === CALL_ABORTED && this.#wasForgotten) return;
    this.#complain(`a question failed: ${String(error)}`);
  }

  #complain(message: string): void {
    this.#options.onViolation({ type: "session", message: `${this.process.name}: ${message}` });
  }
}
