/*
 * A whole member: everything below put together over ports, its server role included.
 */
import { MemberPool } from "@holdfast/alloc-extent";
import {
  type BlockDevice,
  blockOffset,
  type BrokenRules,
  type Clock,
  type Cryptography,
  type Logger,
  NO_BROKEN_RULES,
  type Random,
  type Transport,
} from "@holdfast/environment";
import { ItemStore, type ItemStoreOptions, type JournalRegion } from "@holdfast/item-store";
import { SegmentRef } from "@holdfast/segment";
import { Catalog } from "./catalog.ts";
import { checkCommitted } from "./client/commit-check.ts";
import { CompactionWorker } from "./client/compaction-worker.ts";
import { ManifestFollower } from "./client/manifest-follower.ts";
import { MemberSpace } from "./client/member-space.ts";
import { ServerLink } from "./client/server-link.ts";
import type { Dataset } from "./dataset.ts";
import { ClosedError, FlushFailedError } from "./errors.ts";
import { VOLUME_FORMAT_HASH } from "./formats.ts";
import { createLockClient } from "./locks/lock-client-driver.ts";
import type { LockClientDriver } from "./locks/locking.ts";
import {
  Command,
  EMPTY_BODY,
  type JoinReply,
  RecordSegmentsRequest,
  Refusal,
  StatusReply,
} from "./protocol.ts";
import { readNewestRecord } from "./quorum/newest-record.ts";
import { readTermStatus } from "./quorum/term-status.ts";
import { type CompactorLimits, DEFAULT_COMPACTOR_LIMITS } from "./server/compactor.ts";
import { Reign } from "./reign.ts";
import { assertTiming, DEFAULT_MEMBER_TIMING, type MemberTiming } from "./timing.ts";
import { layoutFor } from "./volume/layout.ts";
import { readSuper } from "./volume/super-block.ts";

/** What a member needs, and how it is to behave. */
export interface OpenMemberOptions {
  /** The volume; the member does not close it. */
  readonly device: BlockDevice;
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly cryptography: Cryptography;
  readonly log: Logger;
  /** Where to listen when this member serves; a member without one never votes. */
  readonly listenAddress?: string;
  /** Refuse any other volume than this. */
  readonly expectedFsid?: bigint;
  /** For people: host and process. */
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

/** Idle locks kept before the oldest is given back, one per acquire. */
const IDLE_LOCKS_MAX = 4096;

/** Segment numbers below a member's own prefix. */
const SEGMENT_NUMBER_BITS = 40n;

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
    this.fsid = parts.fsid;
    this.label = parts.label;
    this.store = store;
    this.#catalog = new Catalog(store);
  }

  /**
   * Opens a volume and resolves once this process is a member of it.
   *
   * @throws {@link VolumeError} when the device is not the volume that was meant.
   */
  static async open(options: OpenMemberOptions): Promise<Member> {
    const timing = options.timing ?? DEFAULT_MEMBER_TIMING;
    assertTiming(timing);
    const { parts, joined } = await assemble(options, timing);
    try {
      const reply = await withSignal(joined, options.signal);
      const member = new Member(parts, parts.makeStore(reply));
      return member;
    } catch (error) {
      await parts.reign?.stop();
      parts.link.close(new ClosedError());
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

  /** What the server says of the volume. */
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
    const { reign, link } = this.#parts;
    link.close(new ClosedError());
    await reign?.stop();
  }

  async #close(): Promise<void> {
    const { reign, link, space, worker } = this.#parts;
    try {
      await this.store.close();
      await worker.stop();
      await space.drain();
      await link.farewell();
    } finally {
      await reign?.resign();
      link.close(new ClosedError());
    }
  }
}

/** Opens a volume; see {@link Member.open}. */
export function openMember(options: OpenMemberOptions): Promise<Member> {
  return Member.open(options);
}

interface MemberParts {
  readonly rid: bigint;
  readonly fsid: bigint;
  readonly label: string;
  readonly link: ServerLink;
  readonly space: MemberSpace;
  readonly worker: CompactionWorker;
  readonly reign: Reign | undefined;
  makeStore(reply: JoinReply): ItemStore;
}

async function assemble(
  options: OpenMemberOptions,
  timing: MemberTiming,
): Promise<{ readonly parts: MemberParts; readonly joined: Promise<JoinReply> }> {
  const { device, clock, random, transport, cryptography, log, listenAddress } = options;
  const brokenRules = options.brokenRules ?? NO_BROKEN_RULES;
  const { superBlock, damagedCopies } = await readSuper(device, VOLUME_FORMAT_HASH, options.expectedFsid);
  for (const block of damagedCopies)
    log.warn({ event: "super.damaged", block }, "one super block is damaged, the other one serves");
  const { fsid, label, termsMax } = superBlock;
  const layout = layoutFor(blockOffset(superBlock.blockCount), termsMax);
  const region = { fsid, ...layout.quorum };
  const rid = random.u64() | 1n;
  const quorumPorts = { device, clock, random, log };
  const ports = { transport, clock, random, cryptography, log };

  const link: ServerLink = new ServerLink(
    {
      superBlock,
      rid,
      join: { isVoter: listenAddress !== undefined, address: listenAddress ?? "", name: options.name ?? "" },
      timing: timing.session,
      findServer: async () => (await readNewestRecord(region, quorumPorts, link.term))?.address,
      handle: (_server, command, body, respond) => {
        if (command === Command.invalidate) locks.handleInvalidate(body, respond);
        else if (command === Command.compact) worker.accept(body, respond);
        else respond(Refusal.unknownCommand, EMPTY_BODY);
      },
      onHeard: (term) => reign?.heard(term),
      onLost: (error) => {
        locks.loseAll(error);
        if (!(error instanceof ClosedError)) options.onLost?.(error);
      },
    },
    () => locks,
    ports,
  );
  const manifest = new ManifestFollower(device, fsid, link);
  const space = new MemberSpace(new MemberPool(), link, log);
  const worker = new CompactionWorker({ device, fsid, rid, clock, link, log });
  let store: ItemStore | undefined;
  const locks: LockClientDriver = createLockClient({
    call: link.call,
    commandLock: Command.lock,
    idleLimit: IDLE_LOCKS_MAX,
    brokenRules,
    // Before there is a store there is no lock, and nothing to write back.
    flush: (range, to) => store?.invalidate(range, to) ?? Promise.resolve(),
    onGrant: (_range, _mode, version) =>
      manifest.current.version < version ? manifest.reach(version) : undefined,
    onError: (error) => link.close(new FlushFailedError(rid, { cause: error })),
    clock,
    log,
  });
  const reign =
    listenAddress === undefined
      ? undefined
      : Reign.start({
          server: {
            ...ports,
            device,
            superBlock,
            layout,
            rid,
            listenAddress,
            timing,
            compactorLimits: options.compactorLimits ?? DEFAULT_COMPACTOR_LIMITS,
            brokenRules,
          },
          region,
          votes: superBlock.votes,
        });
  const makeStore = (reply: JoinReply): ItemStore => {
    let nextSegment = BigInt(reply.number) << SEGMENT_NUMBER_BITS;
    store = new ItemStore(
      {
        device,
        fsid,
        rid,
        clock,
        random,
        locks,
        space,
        term: () => link.term,
        manifest: () => manifest.current,
        refreshManifest: () => manifest.refresh(),
        checkCommitted: () =>
          checkCommitted({
            link,
            readTermStatus: (term) => readTermStatus(region, quorumPorts, term),
            brokenRules,
          }),
        recordSegments: async (segments, journalEpoch) => {
          const encoded = segments.map((segment) => SegmentRef.encode(segment));
          await link.operation(Command.recordSegments, (operation) =>
            RecordSegmentsRequest.encode({ ...operation, segments: encoded, journalEpoch }),
          );
          await manifest.refresh();
        },
        nextSegmentId: () => {
          nextSegment += 1n;
          return nextSegment;
        },
        brokenRules,
      },
      { ...options.storeLimits, journal: journalOf(reply) },
    );
    return store;
  };
  return { parts: { rid, fsid, label, link, space, worker, reign, makeStore }, joined: link.joined };
}

function journalOf(reply: JoinReply): JournalRegion {
  const [first, second] = reply.journal;
  if (first === undefined || second === undefined) throw new RangeError("a journal has two halves");
  return { first, second };
}

function withSignal<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
