/*
 * A whole member: everything below put together over ports, its server role included.
 */
import {
  type BlockDevice,
  type BrokenRules,
  CancelledError,
  type Clock,
  type Cryptography,
  type Logger,
  type Random,
  type Transport,
} from "@holdfast/environment";
import type { ItemStore, ItemStoreOptions } from "@holdfast/item-store";
import { Catalog } from "./catalog.ts";
import type { Dataset } from "./dataset.ts";
import { type MemberParts, openParts } from "./member-parts.ts";
import { Command, EMPTY_BODY, StatusReply } from "./protocol.ts";
import type { CompactorLimits } from "./server/compactor.ts";
import { checkTiming, DEFAULT_MEMBER_TIMING, type MemberTiming } from "./timing.ts";

/** What a member needs, and how it is to behave. */
export interface OpenMemberOptions {
  /** The volume; the member does not close it. */
  readonly device: BlockDevice;
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly cryptography: Cryptography;
  readonly log: Logger;
  /** Where this member listens, so that it can serve; a member without one never votes. */
  readonly listenAddress?: string;
  /** Refuse any other volume than this. */
  readonly expectedFsid?: bigint;
  /** For people: host and process; at most 128 bytes of UTF-8. */
  readonly name?: string;
  readonly timing?: MemberTiming;
  readonly storeLimits?: Omit<ItemStoreOptions, "journal">;
  readonly compactorLimits?: CompactorLimits;
  readonly brokenRules?: BrokenRules;
  /** Gives up waiting for a server. */
  readonly signal?: AbortSignal;
  /** Told once when the membership ended by itself, e.g. by eviction. */
  readonly onLost?: (error: Error) => void;
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
   * Opens a volume and resolves once this process is a member of it; waits for a server as long as it takes.
   *
   * @throws {@link VolumeError} when the device is not the volume that was meant; {@link TransportError} when this process
   * cannot listen; {@link NoSpaceError} when there is no room for its journal; {@link CancelledError} when `signal` aborts.
   * @throws RangeError when times do not fit each other, or a name or an address is too long.
   */
  static async open(options: OpenMemberOptions): Promise<Member> {
    const timing = options.timing ?? DEFAULT_MEMBER_TIMING;
    checkTiming(timing);
    const parts = await openParts(options, timing);
    try {
      const reply = await withSignal(parts.link.joined, options.signal);
      return new Member(parts, parts.makeStore(reply));
    } catch (error) {
      await parts.abandon();
      throw error;
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
   * Writes back, gives everything home, says farewell, hands the server role on. Idempotent.
   *
   * Waits for a server as long as it takes; whoever cannot wait ends the process: nothing acknowledged is lost.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Leaves without a word, as a crash would: everything that waits fails. */
  async abandon(): Promise<void> {
    await this.#parts.abandon();
  }

  async #close(): Promise<void> {
    const { link, space, worker } = this.#parts;
    try {
      await this.store.close();
      await worker.stop();
      await space.drain();
      await link.farewell();
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
