/*
 * A voter's life: campaigns, serves the terms it wins, campaigns again.
 *
 * A reign that ended because a record could not be written is the last one of this process: its device path is not to be
 * trusted with another. One that ended because the device did not answer is not: while that lasts no election of this
 * voter comes to an end either, and when it is over the voter is as good as any. One that ended because this process does not
 * reach itself rests, and votes again when it does (own-address.ts).
 */
import {
  DeposedError,
  DeviceStalledError,
  type Leadership,
  type QuorumRegion,
  type Voter,
  startVoter,
} from "@holdfast/quorum";
import { OwnAddressError } from "./errors.ts";
import { OwnAddressRest } from "./own-address.ts";
import { ServerRole, type ServerRoleOptions } from "./server/server-role.ts";
import { withinTime } from "./within-time.ts";

/** What a voter needs. */
export interface ReignOptions {
  readonly server: Omit<ServerRoleOptions, "onEnded" | "formerQuiet">;
  readonly region: QuorumRegion;
  /** Voters that must agree before one campaigns; asked each time. */
  readonly votes: () => number;
  /** A term is won, and nothing of it is recorded yet. */
  readonly onWon: (term: bigint) => void;
  /** This process takes part in no election any more, or not for a while. */
  readonly onHalted: (error: unknown) => void;
}

/** Runs a voter and the servers it becomes. */
export class Reign {
  readonly #options: ReignOptions;
  readonly #rest: OwnAddressRest;
  #voter: Voter;
  #voterStopped: Promise<void> = Promise.resolve();
  #role: ServerRole | undefined;
  #starting: Promise<void> = Promise.resolve();
  #isStopping = false;
  /** Resolves when nothing of former reigns is being written any more. */
  #quiet: Promise<void> = Promise.resolve();

  private constructor(options: ReignOptions) {
    this.#options = options;
    const { clock, transport, listenAddress, timing } = options.server;
    this.#voter = this.#vote();
    this.#rest = new OwnAddressRest({
      clock,
      dial: (signal) => transport.dial(listenAddress, signal),
      dialMs: timing.session.greetingTimeoutMs,
      onReached: () => void this.#voteAgain(),
    });
  }

  /** Starts to vote. */
  static start(options: ReignOptions): Reign {
    return new Reign(options);
  }

  /** True while this process serves. */
  get isServing(): boolean {
    return this.#role !== undefined;
  }

  /**
   * Resolves when nothing of reigns that are over is being written any more: what a farewell says is true from then on.
   *
   * @returns True if a reign is not over.
   */
  async quiet(): Promise<boolean> {
    let awaited: Promise<void> | undefined;
    // Another one may have begun, and ended, meanwhile.
    while (awaited !== this.#quiet) {
      awaited = this.#quiet;
      await awaited;
    }
    return this.isServing;
  }

  /** A frame came from the server of this term. */
  heard(term: bigint): void {
    this.#voter.heard(term);
  }

  /** The server of this term has said that its reign is over, and that it knows of no other one. */
  vacated(term: bigint): void {
    this.#voter.over(term);
  }

  /**
   * Votes no more and hands the server role on in order. If that cannot be recorded, the role is over all the same:
   * the next server finds out as it would after a death.
   */
  async resign(): Promise<void> {
    await this.#retire();
    const role = this.#role;
    if (role === undefined) return;
    try {
      await this.#within(role.resign());
    } catch (error) {
      const { log, rid } = this.#options.server;
      log.warn({ event: "server.resign-failed", rid, err: error }, "this server left without a last record");
    }
    await this.#end(role);
  }

  /** Votes no more and stops serving at once. */
  async stop(): Promise<void> {
    await this.#retire();
    if (this.#role !== undefined) await this.#end(this.#role);
  }

  #vote(): Voter {
    const { server, region, votes, onWon, onHalted } = this.#options;
    const { device, clock, random, log, rid, listenAddress, timing, brokenRules } = server;
    return startVoter(
      {
        region,
        rid,
        address: () => listenAddress,
        votes,
        timing: timing.quorum,
        brokenRules,
        onElected: (leadership) => {
          onWon(leadership.term);
          this.#starting = this.#serve(leadership);
        },
        onError: (error) => {
          log.error({ event: "election.failed", err: error }, "an election failed");
          onHalted(error);
        },
      },
      { device, clock, random, log },
    );
  }

  async #voteAgain(): Promise<void> {
    // Its device may still be busy with the last write of the voter before.
    await this.#voterStopped;
    if (this.#isStopping) return;
    const { log, rid, listenAddress } = this.#options.server;
    log.info({ event: "voter.resumed", rid, address: listenAddress }, "this process reaches itself again");
    this.#voter = this.#vote();
  }

  async #end(role: ServerRole): Promise<void> {
    await role.stop();
    if (this.#role === role) this.#role = undefined;
  }

  async #retire(): Promise<void> {
    this.#isStopping = true;
    this.#rest.close();
    await this.#within(this.#voter.stop());
    await this.#within(this.#starting);
  }

  /** A device that does not answer keeps nobody from leaving: nothing that is under way then counts any more. */
  async #within(work: Promise<unknown>): Promise<void> {
    const { clock, timing, log, rid } = this.#options.server;
    if (await withinTime(clock, timing.quorum.deviceStallMs, work)) return;
    log.warn(
      { event: "voter.stop-timed-out", rid },
      "the device does not answer: this voter leaves all the same",
    );
  }

  async #serve(leadership: Leadership): Promise<void> {
    const { log, rid } = this.#options.server;
    let role: ServerRole | undefined;
    let isOver = false;
    const end = (error: unknown): void => {
      if (isOver) return;
      isOver = true;
      if (this.#role === role) this.#role = undefined;
      this.#follow(role);
      this.#ended(error);
    };
    this.#voter.serving(true);
    try {
      const formerQuiet = (): Promise<void> => this.#quiet;
      role = await ServerRole.start({ ...this.#options.server, onEnded: end, formerQuiet }, leadership);
      if (role.isEnded) return this.#follow(role);
      this.#role = role;
      log.info({ event: "server.elected", rid, term: leadership.term }, "this member was elected");
      if (this.#isStopping) await this.#end(role);
    } catch (error) {
      end(error);
    }
  }

  #follow(role: ServerRole | undefined): void {
    if (role === undefined) return;
    const quiet = Promise.all([this.#quiet, role.quiet()]);
    this.#quiet = quiet.then(() => {});
  }

  #ended(error: unknown): void {
    const { log, rid } = this.#options.server;
    this.#voter.serving(false);
    const facts = { event: "server.ended", rid, err: error };
    if (error instanceof DeposedError) return log.warn(facts, "this server was superseded");
    if (error instanceof DeviceStalledError)
      return log.error(facts, "this server stopped until its device answers again");
    if (error instanceof OwnAddressError)
      log.error(
        { ...facts, pauseMs: this.#rest.begin() },
        "this server stopped until it reaches itself again",
      );
    else log.error(facts, "this server stopped, and does not run again");
    this.#options.onHalted(error);
    if (!this.#isStopping) {
      this.#voterStopped = this.#voter
        .stop()
        .catch((cause: unknown) =>
          log.error({ event: "voter.failed", err: cause }, "the voter did not stop"),
        );
    }
  }
}
