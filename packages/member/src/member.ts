/*
 * A whole member: everything below put together over ports, its server role included.
 */
import {
  type BlockDevice,
  type BrokenRules,
  CancelledError,
  type FenceAgent,
  type Processes,
} from "@holdfast/environment";
import type { ItemStore, ItemStoreOptions } from "@holdfast/item-store";
import type { SessionPorts } from "@holdfast/net-reliable";
import { Catalog } from "./catalog.ts";
import type { Dataset } from "./dataset.ts";
import { EvictedError, fenceRefused, OperationRefusedError, TooFewVotersError } from "./errors.ts";
import { leaveInOrder, type LeavingStep } from "./leaving.ts";
import { type MemberParts, openParts } from "./member-parts.ts";
import {
  Command,
  EMPTY_BODY,
  FenceReply,
  FenceRequest,
  Refusal,
  StatusReply,
  TuneOperation,
  type TuneRequest,
} from "./protocol.ts";
import type { CompactorLimits } from "./server/compactor.ts";
import { checkVotes } from "./volume/format-volume.ts";
import { checkTiming, DEFAULT_MEMBER_TIMING, type MemberTiming } from "./timing.ts";

/**
 * An opening that was cut off for so long that the server forgot it, or evicted it, begins again, so often in all: each time may leave
 * a journal in quarantine, and one that is cut off each time is cut off for another reason.
 */
export const OPENINGS_MAX = 4;

/** What a member needs, and how it is to behave. */
export interface OpenMemberOptions extends Required<SessionPorts> {
  /** The volume; the member does not close it. */
  readonly device: BlockDevice;
  /** Knows of processes of this host: what they wrote ends with them. */
  readonly processes?: Processes;
  /** Cuts dead members off from the volume, when this member serves. */
  readonly fenceAgent?: FenceAgent;
  /** Where this member listens, so that it can serve; a member without one never votes. */
  readonly listenAddress?: string;
  /** Refuse any other volume than this. */
  readonly expectedFsid?: bigint;
  /** For people: host and process; at most 128 bytes of UTF-8. */
  readonly name?: string;
  readonly timing?: MemberTiming;
  /** Campaigns with so many votes, whatever the volume asks for: for tools that take the only voter's place. */
  readonly votes?: number;
  readonly storeLimits?: Omit<ItemStoreOptions, "journal">;
  readonly compactorLimits?: CompactorLimits;
  readonly brokenRules?: BrokenRules;
  /** Gives up waiting for a server. */
  readonly signal?: AbortSignal;
  /** Told once when the membership ended by itself, e.g. by eviction. */
  readonly onLost?: (error: Error) => void;
}

/** How to fence a member. */
export interface FenceOptions {
  /** Also if it is connected. */
  readonly isForced?: boolean;
  /** Who says so, for people; at most 128 bytes of UTF-8. */
  readonly operator: string;
  /** Gives up waiting. */
  readonly signal?: AbortSignal;
}

/** How to close. */
export interface CloseOptions {
  /** Gives up waiting. */
  readonly signal?: AbortSignal | undefined;
}

/** This process as a member, for people. */
export interface MemberReport {
  readonly rid: bigint;
  readonly fsid: bigint;
  readonly label: string;
  readonly term: bigint;
  readonly isConnected: boolean;
  readonly isServing: boolean;
}

/** A member of a volume. */
export class Member {
  readonly rid: bigint;
  readonly fsid: bigint;
  readonly label: string;
  readonly store: ItemStore;
  readonly #parts: MemberParts;
  readonly #catalog: Catalog;
  #closing: Promise<void> | undefined;

  private constructor(parts: MemberParts, store: ItemStore) {
    this.#parts = parts;
    this.rid = parts.rid;
    this.fsid = parts.superBlock.fsid;
    this.label = parts.superBlock.label;
    this.store = store;
    this.#catalog = new Catalog(store);
  }

  /**
   * Opens a volume and resolves once this process is a member of it; waits for a server as long as it takes. Where it was cut off
   * in the middle for longer than a server waits, it begins again under another rid: it has done nothing yet.
   *
   * @throws {@link EvictedError} when that happened {@link OPENINGS_MAX} times.
   * @throws {@link VolumeError} when the device is not the volume that was meant; {@link TransportError} when this process
   * cannot listen; {@link NoSpaceError} when there is no room for its journal; {@link CancelledError} when `signal` aborts.
   * @throws RangeError when times do not fit each other, or a name or an address is too long.
   */
  static async open(options: OpenMemberOptions): Promise<Member> {
    const timing = options.timing ?? DEFAULT_MEMBER_TIMING;
    checkTiming(timing);
    for (let opening = 1; ; opening += 1) {
      const parts = await openParts(options, timing);
      try {
        const reply = await withSignal(parts.link.joined, options.signal);
        return new Member(parts, parts.makeStore(reply));
      } catch (error) {
        await parts.abandon();
        if (!(error instanceof EvictedError) || opening === OPENINGS_MAX) throw error;
        const facts = { event: "member.opens-again", rid: parts.rid, opening, err: error };
        options.log.warn(facts, "the server has given up this process before it was a member");
      }
    }
  }

  /** An existing dataset; "main" always exists. @throws {@link DatasetError} */
  dataset(name = "main", signal?: AbortSignal): Promise<Dataset> {
    return this.#catalog.open(name, signal);
  }

  /** Creates a dataset. @throws {@link DatasetError} when it exists. */
  createDataset(name: string, signal?: AbortSignal): Promise<Dataset> {
    return this.#catalog.create(name, signal);
  }

  /** Names of all datasets. */
  datasets(signal?: AbortSignal): Promise<readonly string[]> {
    return this.#catalog.list(signal);
  }

  /** What this process knows without asking. */
  report(): MemberReport {
    const { link, reign } = this.#parts;
    return {
      rid: this.rid,
      fsid: this.fsid,
      label: this.label,
      term: link.term,
      isConnected: link.isConnected,
      isServing: reign?.isServing ?? false,
    };
  }

  /** What the server says of the volume; waits until there is one. @throws {@link CancelledError} when `signal` aborts. */
  async status(signal?: AbortSignal): Promise<StatusReply> {
    return StatusReply.decode(await this.#parts.link.request(Command.status, EMPTY_BODY, signal));
  }

  /**
   * Changes how many voters must agree before one campaigns. Members learn it from the next server they look for.
   *
   * @param change.votes - 1 … 64; more than half of the voters is what keeps two halves of a network from electing in turn.
   * @param change.isForced - Also if fewer voters than that are members.
   * @throws {@link TooFewVotersError} `ERR_HOLDFAST_TOO_FEW_VOTERS`; {@link CancelledError} when `signal` aborts.
   * @throws RangeError when so many cannot be asked to agree.
   */
  async tune(change: TuneRequest, signal?: AbortSignal): Promise<void> {
    checkVotes(change.votes);
    try {
      const { votes, isForced } = change;
      await this.#parts.link.operation(
        Command.tune,
        (operation) => TuneOperation.encode({ ...operation, votes, isForced }),
        signal,
      );
    } catch (error) {
      const isRefused =
        error instanceof OperationRefusedError && error.facts.refusal === Refusal.tooFewVoters;
      throw isRefused ? new TooFewVotersError(change.votes, { cause: error }) : error;
    }
  }

  /**
   * Says that a member can never write again: it is evicted if it is a member still, and its blocks come back.
   *
   * @throws {@link FenceRefusedError} when it is connected (unless `isForced`), serves, or is unknown.
   */
  async fence(rid: bigint, options: FenceOptions): Promise<FenceReply> {
    const { isForced = false, operator, signal } = options;
    const body = FenceRequest.encode({ rid, isForced, operator });
    try {
      return FenceReply.decode(await this.#parts.link.request(Command.fence, body, signal));
    } catch (error) {
      if (!(error instanceof OperationRefusedError)) throw error;
      throw fenceRefused(rid, error) ?? error;
    }
  }

  /**
   * Writes back, gives everything home, says farewell, hands the server role on. Idempotent: the first call's options count.
   *
   * Waits for a server, and as a voter for others to come or to leave too when too few would remain without it, but not for
   * ever; the log says for what. However it ends, nothing acknowledged is lost.
   *
   * @throws {@link CloseTimeoutError} `ERR_HOLDFAST_CLOSE_TIMEOUT` after `timing.closeMs`; {@link CancelledError} when `signal`
   *   aborts: this member leaves without a word then, as a crash would. What ended the membership before.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  /** Leaves without a word, as a crash would: everything that waits fails. */
  async abandon(): Promise<void> {
    await this.#parts.abandon();
  }

  async #close({ signal }: CloseOptions): Promise<void> {
    const { link, space, worker, clock, log, timing } = this.#parts;
    const steps: readonly LeavingStep[] = [
      { name: "write-back", run: () => this.store.close() },
      { name: "compactions", run: () => worker.stop() },
      { name: "blocks", run: () => space.drain() },
      { name: "farewell", run: () => this.#parts.farewell() },
    ];
    const facts = (): object => ({ rid: this.rid, term: link.term, isConnected: link.isConnected });
    try {
      await leaveInOrder(steps, { clock, log, waitMs: timing.closeMs, signal, facts });
    } finally {
      await this.#parts.leave();
    }
  }
}

/** Opens a volume; see {@link Member.open}. */
export function openMember(options: OpenMemberOptions): Promise<Member> {
  return Member.open(options);
}

function withSignal<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new CancelledError("opening the volume", { cause: signal.reason }));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
