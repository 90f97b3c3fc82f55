/*
 * Group commit: changes are made one after another in memory, and all that were asked for while a record was in
 * flight are made together behind it and become durable with the next one. Nobody is answered before the record that
 * holds his change has passed its check (architecture 4).
 *
 * A change that fails is undone and fails alone; so does one that no commit could hold. A commit that fails ends the
 * server's role for good: its outcome is unknown, and only the next server can say.
 */
import { type BrokenRules, type Deferred, deferred, type Logger, Mutex } from "@holdfast/environment";
import type { Leadership } from "@holdfast/quorum";
import { VolumeState } from "../volume/volume-state.ts";
import type { VolumeTrees } from "./volume-trees.ts";

/** What a committer needs. */
export interface CommitterOptions {
  readonly trees: VolumeTrees;
  /** Records and checks; only what the election's driver hands out can. */
  readonly leadership: Pick<Leadership, "term" | "commit" | "check">;
  /** Address that the records publish. */
  readonly address: string;
  readonly brokenRules: BrokenRules;
  readonly log: Logger;
  /** Called once, when a commit failed: the server must stop. */
  readonly onFatal: (error: unknown) => void;
  /** Called after each record that passed its check. */
  readonly onRecorded?: (trees: VolumeTrees) => void;
}

/** Address of a record whose server has left. */
const RESIGNED_ADDRESS = "";

/** Serialises changes of the volume's metadata and commits them in groups. */
export class Committer {
  readonly #options: CommitterOptions;
  readonly #mutex: Mutex = new Mutex();
  #pending: Deferred<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #committed: VolumeState;
  #commits = 0;

  constructor(options: CommitterOptions, adopted: VolumeState) {
    this.#options = options;
    this.#committed = adopted;
  }

  /** The state of the newest commit that passed its check. */
  get committed(): VolumeState {
    return this.#committed;
  }

  /** Records written by this server. */
  get commits(): number {
    return this.#commits;
  }

  /**
   * Makes a change and resolves when it is committed.
   *
   * @throws what `change` throws, or {@link VolumeTrees.checkFits} after it, with the change undone; or the error that
   * ended the server's role.
   */
  async mutate<T>(change: (trees: VolumeTrees) => Promise<T>): Promise<T> {
    const { trees, brokenRules } = this.#options;
    const value = await this.#mutex.run(async () => {
      this.#assertAlive();
      if (trees.isCrowded) await this.#commit();
      const before = trees.snapshot();
      try {
        const made = await change(trees);
        trees.checkFits();
        return made;
      } catch (error) {
        trees.restore(before);
        throw error;
      }
    });
    const recorded = this.#nextCommit();
    if (brokenRules.has("answer-before-commit")) recorded.catch(() => {});
    else await recorded;
    return value;
  }

  /** Runs `look` while no change is being made. */
  read<T>(look: (trees: VolumeTrees) => Promise<T>): Promise<T> {
    return this.#mutex.run(() => look(this.#options.trees));
  }

  /**
   * The last commit of a server that leaves in order: publishes no address and gives unused blocks back. Everything fails
   * from here on with `error`.
   */
  resign(error: unknown): Promise<void> {
    return this.#mutex.run(async () => {
      this.#assertAlive();
      // What the commits so far have freed is settled by one more.
      if (this.#options.trees.isDirty) await this.#commit();
      await this.#options.trees.giveUpGrants();
      await this.#commit(RESIGNED_ADDRESS);
      this.stop(error);
    });
  }

  /** Fails everything from now on, with `error`. Idempotent. */
  stop(error: unknown): void {
    this.#failure ??= { error };
  }

  /** The commit that will hold every change made so far; started here if none is waiting. */
  #nextCommit(): Promise<void> {
    if (this.#pending === undefined) {
      const pending = deferred<void>();
      this.#pending = pending;
      this.#mutex
        .run(() => {
          this.#pending = undefined;
          return this.#commit();
        })
        .then(
          () => pending.resolve(),
          (error: unknown) => pending.reject(error),
        );
    }
    return this.#pending.promise;
  }

  async #commit(address = this.#options.address): Promise<void> {
    this.#assertAlive();
    const { trees, leadership, log, onFatal } = this.#options;
    try {
      if (!trees.isDirty) return await leadership.check();
      const state = await trees.flush();
      const seq = await leadership.commit(VolumeState.encode(state), address);
      log.debug({ event: "commit.recorded", term: leadership.term, seq }, "a commit is recorded");
      trees.recorded();
      this.#committed = state;
      this.#commits += 1;
      this.#options.onRecorded?.(trees);
    } catch (error) {
      this.stop(error);
      onFatal(error);
      throw error;
    }
  }

  #assertAlive(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
