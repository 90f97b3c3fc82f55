/*
 * Leader election alone, for programs that share a device and nothing else: no sessions, no addresses, no configuration.
 *
 * A candidate hears the leader by its hints on the device, and a leader that resigns by the last of them. The token is the
 * term: whoever gets requests from several leaders refuses those with a smaller token than the greatest it has seen.
 */
import {
  type BlockDevice,
  type Cancel,
  CancelledError,
  type Clock,
  type Logger,
  Mutex,
  NO_BROKEN_RULES,
  type Random,
  SILENT_LOGGER,
  deferred,
} from "@holdfast/environment";
import { DeposedError, DeviceStalledError, ResignedError } from "../errors.ts";
import { checkQuorumTiming, DEFAULT_QUORUM_TIMING, type QuorumTiming } from "../quorum-timing.ts";
import { checkRecordFits } from "../record.ts";
import { openElection } from "./election-device.ts";
import type { Leadership } from "./leadership.ts";
import { type Voter, startVoter } from "./voter.ts";

/** What a candidate needs. */
export interface LeadOptions {
  /** A device that `formatElection` has made, opened by this process. */
  readonly device: BlockDevice;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: nothing is logged. */
  readonly log?: Logger;
  /** Told to others as the leader's name, 1 to 254 bytes; default "leader". */
  readonly name?: string;
  readonly timing?: QuorumTiming;
  /** Gives up waiting for the leadership; a leader is not affected by it. */
  readonly signal?: AbortSignal;
}

/** A leader, until {@link Leader.lost} resolves. */
export interface Leader {
  /** The fencing token: greater than that of every leader before. */
  readonly token: bigint;
  /** What this leader, or else the one before it, has saved last. */
  readonly state: Uint8Array;
  /** Resolves when the leadership is over: with the error that ended it, with undefined after {@link resign}. */
  readonly lost: Promise<Error | undefined>;
  /**
   * Resolves if no other process had taken over when it was called. Call it behind an effect, before you tell anybody of it.
   *
   * @throws `DeposedError` `ERR_HOLDFAST_DEPOSED`, `DeviceStalledError`, `RecordWriteError`: the leadership is over.
   * @throws `ResignedError` `ERR_HOLDFAST_RESIGNED`: behind {@link resign}.
   */
  check(): Promise<void>;
  /**
   * Saves up to `RECORD_PAYLOAD_BYTES_MAX` bytes for whoever leads next; durable, and this process led, when it resolves.
   *
   * @throws The same; whether the state counts is unknown then. RangeError when it is too long.
   */
  save(state: Uint8Array): Promise<void>;
  /**
   * Ends the leadership and tells the candidates, so that one of them follows at once. Resolves in any case: a leadership
   * that cannot be handed on is over all the same. Idempotent.
   */
  resign(): Promise<void>;
}

/** A leader looks so often, in heartbeats, whether it still is one. */
const WATCH_HEARTBEATS = 2;

/**
 * Waits until this process leads.
 *
 * @throws CancelledError `ERR_HOLDFAST_CANCELLED`: `signal` was aborted first.
 * @throws ElectionDeviceError The device holds no election, or its renewal was interrupted.
 * @throws TypeError, RangeError when the name or the times cannot be.
 * @throws CorruptionError, TermsExhaustedError, RecordWriteError: see the package's README.
 */
export async function lead(options: LeadOptions): Promise<Leader> {
  const { device, clock, random, log = SILENT_LOGGER, name = "leader", signal } = options;
  const { timing = DEFAULT_QUORUM_TIMING } = options;
  if (name === "") throw new TypeError("a leader has a name: an empty one means that it resigned");
  checkRecordFits({ address: name, payload: new Uint8Array(0) });
  checkQuorumTiming(timing);
  const region = await openElection(device);
  const outcome = deferred<Leader>();
  let opening: Promise<Leader> | undefined;
  const cancel = (): void => outcome.reject(new CancelledError("the candidacy", { cause: signal?.reason }));
  if (signal?.aborted === true) cancel();
  const voter = startVoter(
    {
      region,
      rid: newRid(random),
      address: () => name,
      votes: () => 1,
      timing,
      brokenRules: NO_BROKEN_RULES,
      hearsByHints: true,
      onElected: (leadership) => {
        const leader = new ElectedLeader({ leadership, voter, clock, name, timing });
        opening = leader.open();
        opening.then(
          (opened) => outcome.resolve(opened),
          (error: unknown) => {
            // Somebody was faster, or the device slow: another term may be won.
            if (error instanceof DeposedError || error instanceof DeviceStalledError) voter.serving(false);
            else outcome.reject(error);
          },
        );
      },
      onError: (error) => outcome.reject(error),
    },
    { device, clock, random, log },
  );
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    return await outcome.promise;
  } catch (error) {
    await abandon(voter, opening);
    throw error;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

/** Ends a candidacy; a leadership that was won meanwhile, unknown to anybody, is handed on. */
async function abandon(voter: Voter, opening: Promise<Leader> | undefined): Promise<void> {
  await voter.stop();
  const results = await Promise.allSettled([opening]);
  for (const result of results) if (result.status === "fulfilled") await result.value?.resign();
}

interface ElectedLeaderOptions {
  readonly leadership: Leadership;
  readonly voter: Voter;
  readonly clock: Clock;
  readonly name: string;
  readonly timing: QuorumTiming;
}

class ElectedLeader implements Leader {
  readonly token: bigint;
  readonly lost: Promise<Error | undefined>;
  readonly #options: ElectedLeaderOptions;
  readonly #commits: Mutex = new Mutex();
  readonly #lost = deferred<Error | undefined>();
  #state: Uint8Array;
  #resigned: Promise<void> | undefined;
  #cancelWatch: Cancel = () => {};

  constructor(options: ElectedLeaderOptions) {
    this.#options = options;
    this.token = options.leadership.term;
    this.lost = this.#lost.promise;
    this.#state = options.leadership.adopted.payload;
  }

  get state(): Uint8Array {
    return this.#state;
  }

  /** The first record: from then on a later leader would have been seen. */
  async open(): Promise<Leader> {
    await this.#options.leadership.commit(this.#state, this.#options.name);
    this.#watch();
    return this;
  }

  async check(): Promise<void> {
    this.#throwIfResigned();
    await this.#orLose(this.#options.leadership.check());
  }

  async save(state: Uint8Array): Promise<void> {
    this.#throwIfResigned();
    const copy = state.slice();
    await this.#commits.run(async () => {
      await this.#orLose(this.#options.leadership.commit(copy, this.#options.name));
      this.#state = copy;
    });
  }

  resign(): Promise<void> {
    this.#resigned ??= this.#commits.run(() => this.#resign());
    return this.#resigned;
  }

  #throwIfResigned(): void {
    if (this.#resigned !== undefined) throw new ResignedError(this.token);
  }

  async #resign(): Promise<void> {
    const { leadership, voter } = this.#options;
    this.#cancelWatch();
    try {
      await leadership.commit(this.#state, "");
      this.#lost.resolve(undefined);
    } catch (error) {
      this.#lost.resolve(asError(error));
    }
    voter.serving(false);
    await voter.stop();
  }

  #watch(): void {
    const { clock, timing } = this.#options;
    this.#cancelWatch = clock.at(clock.now() + WATCH_HEARTBEATS * timing.heartbeatMs, () => {
      if (this.#resigned !== undefined) return;
      this.check().then(
        () => this.#watch(),
        () => {
          // Whoever wants to know the error awaits `lost`.
        },
      );
    });
  }

  /** An error of the leadership is its end, for good; misuse is not. */
  async #orLose<T>(task: Promise<T>): Promise<T> {
    try {
      return await task;
    } catch (error) {
      if (!(error instanceof RangeError)) this.#lose(error);
      throw error;
    }
  }

  #lose(error: unknown): void {
    this.#cancelWatch();
    this.#lost.resolve(asError(error));
    this.#options.voter.stop().catch((cause: unknown) => this.#lost.reject(cause));
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error("the leadership ended", { cause: error });
}

function newRid(random: Random): bigint {
  const rid = random.u64();
  return rid === 0n ? 1n : rid;
}
