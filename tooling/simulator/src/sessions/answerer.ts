/*
 * The server that callers call: answers each question after a while of its own, and judges what reaches it.
 *
 * What one server is asked by one caller comes once and in order, whatever became of the connections between them
 * (docs/protocols/sessions.md). What a former server was asked may come again.
 */
import { invariant } from "@holdfast/environment";
import { type RequestHandler, type ServerSessions, startServerSessions } from "@holdfast/net-reliable";
import type { RandomStream } from "../world/random-stream.ts";
import type { SimulatedPorts } from "../world/ports.ts";
import type { SimulatedProcess } from "../world/process.ts";
import {
  COMMAND_INTRODUCE,
  limitsOf,
  portsIn,
  SESSION_KEY,
  SESSION_TIMING,
  type SessionWorld,
} from "./session-world.ts";

/** The host of every server. */
export const ANSWERER_HOST = "answerer";

/** Longest time until an answer, milliseconds. */
const ANSWER_MAX_MS = 30;

/** Few answers are large: these fill what is kept for a caller that takes none. */
const LARGE_PROBABILITY = 0.3;
const LARGE_ANSWER_BYTES = 24_000;

/** Bytes of a caller's number of a question. */
export const NUMBER_BYTES = 4;

/** One server, in a process of its own. */
export class Answerer {
  readonly process: SimulatedProcess;
  readonly #options: SessionWorld;
  readonly #ports: SimulatedPorts;
  readonly #random: RandomStream;
  readonly #term: bigint;
  /** The newest question of each caller. */
  readonly #newest: Map<bigint, number> = new Map();
  #server: ServerSessions | undefined;
  #stolenCount = 0;

  constructor(options: SessionWorld, term: bigint) {
    const { world, config, brokenRules } = options;
    this.#options = options;
    this.#term = term;
    this.process = world.startProcess(ANSWERER_HOST);
    this.#random = world.random(`sessions/answerer-${term}`);
    this.#ports = portsIn(options, this.process);
    this.process.post("message", () => {
      const listenAddress = `sim://${ANSWERER_HOST}:0`;
      void startServerSessions(
        {
          identity: { key: SESSION_KEY },
          listenAddress,
          term,
          timing: SESSION_TIMING,
          limits: limitsOf(config),
          brokenRules,
          handle: this.#handle,
        },
        this.#ports,
      ).then((server) => {
        this.#server = server;
      });
    });
  }

  /** Where it is called, once it listens. */
  get address(): string | undefined {
    return this.#server?.address;
  }

  /** True if it was asked this question, or one behind it. */
  hasHeard(rid: bigint, number: number): boolean {
    return (this.#newest.get(rid) ?? 0) >= number;
  }

  readonly #handle: RequestHandler = (rid, command, body, respond) => {
    if (command === COMMAND_INTRODUCE) return respond(0, new Uint8Array(0));
    const number = new DataView(body.buffer, body.byteOffset, NUMBER_BYTES).getUint32(0, true);
    const before = this.#newest.get(rid) ?? 0;
    if (number <= before)
      this.#options.onViolation({
        type: "session",
        message: `the server of term ${this.#term} was asked question ${number} behind question ${before}`,
      });
    this.#newest.set(rid, number);
    const isLarge = this.#random.chance(LARGE_PROBABILITY);
    const answer = new Uint8Array(
      isLarge ? this.#random.between(NUMBER_BYTES, LARGE_ANSWER_BYTES) : NUMBER_BYTES,
    );
    new DataView(answer.buffer).setUint32(0, number, true);
    const { clock } = this.#ports;
    clock.at(clock.now() + this.#random.range(0, ANSWER_MAX_MS), () => {
      respond(0, answer);
      this.#look();
    });
  };

  /** Counts what the sessions of this server have gone through. */
  #look(): void {
    const server = this.#server;
    invariant(server !== undefined, "who answers listens");
    const { waitingBytes, ended } = server.stats();
    const { counters } = this.#options;
    if (waitingBytes > 0) counters.add("session-held-back");
    counters.add("session-stolen", ended.replaced - this.#stolenCount);
    this.#stolenCount = ended.replaced;
  }
}
