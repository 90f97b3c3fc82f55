/*
 * The parts of one member and the wires between them.
 *
 * Two circles are tied here: locks need the link to ask the server and the link needs the locks to report them; a lock
 * that is called in needs the store to write back, and the store needs the locks. Whoever is made first gets the other
 * when it asks.
 */
import { MemberPool } from "@holdfast/alloc-extent";
import {
  type BrokenRules,
  type Clock,
  type Logger,
  NO_BROKEN_RULES,
  blockOffset,
  utf8,
} from "@holdfast/environment";
import { ItemStore, type JournalRegion } from "@holdfast/item-store";
import type { Respond } from "@holdfast/net-reliable";
import {
  CorruptionError,
  type QuorumRegion,
  RECORD_ADDRESS_BYTES_MAX,
  readNewestRecord,
  readTermStatus,
} from "@holdfast/quorum";
import { SegmentRef } from "@holdfast/segment";
import { checkCommitted } from "./client/commit-check.ts";
import { NewestSeen } from "./client/newest-seen.ts";
import { foreignVolume } from "./client/same-volume.ts";
import { isForgotten } from "./client/farewell-sign.ts";
import { CompactionWorker } from "./client/compaction-worker.ts";
import { ManifestFollower } from "./client/manifest-follower.ts";
import { MemberSpace } from "./client/member-space.ts";
import { ServerLink } from "./client/server-link.ts";
import { WriteWatch } from "./client/write-watch.ts";
import { ClosedError, FlushFailedError } from "./errors.ts";
import { VOLUME_FORMAT_HASH } from "./formats.ts";
import { createLockClient } from "./locks/lock-client-driver.ts";
import type { LockClientDriver } from "./locks/locking.ts";
import type { OpenMemberOptions } from "./member.ts";
import {
  Command,
  EMPTY_BODY,
  type JoinReply,
  NAME_BYTES_MAX,
  RecordSegmentsRequest,
  Refusal,
  ServerLeaves,
} from "./protocol.ts";
import { Reign } from "./reign.ts";
import { DEFAULT_COMPACTOR_LIMITS } from "./server/compactor.ts";
import { Doorway } from "./server/doorway.ts";
import { ProcessWatch } from "./server/fencing/process-watch.ts";
import type { MemberTiming } from "./timing.ts";
import { type VolumeLayout, layoutFor } from "./volume/layout.ts";
import { ownProcess, type ProcessRecord } from "./volume/process-record.ts";
import { quorumRegionOf } from "./volume/quorum-region.ts";
import { sizesFor } from "./volume/sizes.ts";
import { type SuperBlock, readSuper } from "./volume/super-block.ts";
import { VolumeState } from "./volume/volume-state.ts";

/** Idle locks kept before the oldest is given back, one per acquire. */
const IDLE_LOCKS_MAX = 4096;

/** Segment numbers below a member's own prefix. */
const SEGMENT_NUMBER_BITS = 40n;

/**
 * Reads the super block, listens if the member is to vote, and makes its parts; they begin to look for a server at once.
 *
 * @throws as {@link Member.open}; nothing is left behind then.
 */
export async function openParts(options: OpenMemberOptions, timing: MemberTiming): Promise<MemberParts> {
  const { device, transport, log, expectedFsid, listenAddress, name = "" } = options;
  checkLength("a name", name, NAME_BYTES_MAX);
  const { superBlock, damagedCopies } = await readSuper(device, VOLUME_FORMAT_HASH, expectedFsid);
  for (const block of damagedCopies)
    log.warn({ event: "super.damaged", block }, "one super block is damaged, the other one serves");
  const doorway = listenAddress === undefined ? undefined : await Doorway.open(transport, listenAddress);
  try {
    checkLength("an address", doorway?.address ?? "", RECORD_ADDRESS_BYTES_MAX);
    return new MemberParts(options, { timing, superBlock, doorway });
  } catch (error) {
    await doorway?.close();
    throw error;
  }
}

function checkLength(what: string, text: string, bytesMax: number): void {
  const { length } = utf8.encode(text);
  if (length > bytesMax) throw new RangeError(`${what} has at most ${bytesMax} bytes, not ${length}`);
}

/** What {@link openParts} found out. */
interface Found {
  readonly timing: MemberTiming;
  readonly superBlock: SuperBlock;
  /** Where this member listens; undefined when it does not vote. */
  readonly doorway: Doorway | undefined;
}

/** The parts of one member. */
export class MemberParts {
  readonly rid: bigint;
  readonly superBlock: SuperBlock;
  readonly link: ServerLink;
  readonly space: MemberSpace;
  readonly worker: CompactionWorker;
  readonly reign: Reign | undefined;
  readonly timing: MemberTiming;
  readonly clock: Clock;
  readonly log: Logger;
  readonly #options: OpenMemberOptions;
  readonly #doorway: Doorway | undefined;
  readonly #region: QuorumRegion;
  readonly #newestSeen: NewestSeen = new NewestSeen();
  readonly #brokenRules: BrokenRules;
  readonly #manifest: ManifestFollower;
  readonly #locks: LockClientDriver;
  /** The process of the newest server, by its term. */
  readonly #servers: Map<bigint, ProcessRecord> = new Map();
  readonly #serverWatch: ProcessWatch;
  readonly #writes: WriteWatch;
  /** Votes that a campaign needs, as far as this member knows. */
  #votes: number;
  #store: ItemStore | undefined;

  constructor(given: OpenMemberOptions, { timing, superBlock, doorway }: Found) {
    const { fsid, termsMax } = superBlock;
    const layout = layoutFor(blockOffset(superBlock.blockCount), termsMax);
    this.#writes = new WriteWatch(given.device, {
      startBytes: blockOffset(layout.dataBlock),
      endBytes: blockOffset(layout.dataBlock + layout.dataCount),
    });
    const options = { ...given, device: this.#writes.device };
    const { device, clock, random, log, processes } = options;
    this.#options = options;
    this.#serverWatch = new ProcessWatch({
      clock,
      processes,
      own: ownProcess(processes, device),
      processOf: (term) => Promise.resolve(this.#servers.get(term)),
      isAwaited: (term) => this.#servers.has(term) && !this.link.isConnected,
      onGone: (term) => this.reign?.vacated(term),
    });
    this.timing = timing;
    this.clock = clock;
    this.log = log;
    this.#votes = superBlock.votes;
    this.#doorway = doorway;
    this.superBlock = superBlock;
    this.#region = quorumRegionOf(superBlock, layout);
    this.#brokenRules = options.brokenRules ?? NO_BROKEN_RULES;
    this.rid = random.u64() | 1n;
    this.link = this.#makeLink(timing);
    this.#manifest = new ManifestFollower(device, fsid, this.link);
    this.space = new MemberSpace(new MemberPool(sizesFor(layout.dataCount).pool), this.link, log);
    this.worker = new CompactionWorker({ device, fsid, rid: this.rid, clock, link: this.link, log });
    this.#locks = this.#makeLocks();
    this.reign = this.#makeReign(timing, layout);
  }

  /** The store of a member that has joined. */
  makeStore(reply: JoinReply): ItemStore {
    const { device, clock, random, storeLimits } = this.#options;
    const { link, rid, space } = this;
    let nextSegment = BigInt(reply.number) << SEGMENT_NUMBER_BITS;
    const store = new ItemStore(
      {
        device,
        fsid: this.superBlock.fsid,
        rid,
        clock,
        random,
        locks: this.#locks,
        lease: link.lease,
        space,
        term: () => link.term,
        manifest: () => this.#manifest.current,
        refreshManifest: () => this.#manifest.refresh(),
        checkCommitted: () => this.#checkCommitted(),
        recordSegments: (segments, journalEpoch) => this.#recordSegments(segments, journalEpoch),
        nextSegmentId: () => {
          nextSegment += 1n;
          return nextSegment;
        },
        brokenRules: this.#brokenRules,
      },
      { ...storeLimits, journal: journalOf(reply) },
    );
    this.#store = store;
    return store;
  }

  /** Hands the server role on, hangs up and listens no more. */
  async leave(): Promise<void> {
    try {
      await this.reign?.resign();
    } finally {
      await this.abandon();
    }
  }

  /** Says farewell; see {@link ServerLink.farewell}. */
  async farewell(): Promise<void> {
    const isServing = (await this.reign?.quiet()) ?? false;
    // What a server has under way belongs to its reign.
    const mayBeWritten = this.#writes.hasFailed || (this.#writes.isWriting && !isServing);
    await this.link.farewell({ mayBeWritten, isServing });
  }

  /** Leaves without a word. */
  async abandon(): Promise<void> {
    this.#serverWatch.close();
    this.link.close(new ClosedError());
    await this.reign?.stop();
    await this.#doorway?.close();
  }

  #makeLink(timing: MemberTiming): ServerLink {
    const { name = "", clock, device } = this.#options;
    return new ServerLink(
      {
        superBlock: this.superBlock,
        rid: this.rid,
        join: {
          isVoter: this.#doorway !== undefined,
          address: this.#doorway?.address ?? "",
          name,
          process: ownProcess(this.#options.processes, device),
        },
        timing,
        brokenRules: this.#brokenRules,
        findServer: (term) => this.#findServer(term),
        isForgotten: (term) => isForgotten({ device, clock, region: this.#region, rid: this.rid }, term),
        onVotes: (votes) => {
          this.#votes = votes;
        },
        handle: (_server, command, body, respond) => this.#handle(command, body, respond),
        onHeard: (term) => this.reign?.heard(term),
        onLost: (error) => this.#lost(error),
      },
      () => this.#locks,
      this.#options,
    );
  }

  /** Where the newest record says the server is. It says too how many votes it takes to replace it. */
  async #findServer(term: bigint): Promise<string | undefined> {
    const { device, clock } = this.#options;
    const record = await readNewestRecord(this.#region, { device, clock }, term);
    if (record === undefined) {
      const error = await foreignVolume(device, this.superBlock);
      if (error !== undefined) this.link.close(error);
      return undefined;
    }
    const { votes, server } = VolumeState.decode(record.payload);
    this.#votes = votes;
    if (record.address === "") return undefined;
    this.#lookAtServer(record.term, server);
    return record.address;
  }

  /** A server that is looked for, and whose process is gone on this host, need not be given up by its silence. */
  #lookAtServer(term: bigint, server: ProcessRecord): void {
    if (this.reign === undefined) return;
    const { log } = this.#options;
    this.#servers.clear();
    this.#servers.set(term, server);
    this.#serverWatch.watch(term).catch((error: unknown) => {
      log.warn(
        { event: "server.watch-failed", term, err: error },
        "the server's process cannot be looked at",
      );
    });
  }

  /** A process that is no member cannot serve either: its own locks could not be called back, nor its blocks reclaimed. */
  #lost(error: Error): void {
    const { log, onLost } = this.#options;
    this.#locks.loseAll(error);
    this.#store?.fail(error);
    this.reign
      ?.stop()
      .catch((cause: unknown) =>
        log.error({ event: "server.stop-failed", rid: this.rid, err: cause }, "the server did not stop"),
      );
    // Who opens is told by that.
    if (this.link.hasJoined && !(error instanceof ClosedError)) onLost?.(error);
  }

  #makeLocks(): LockClientDriver {
    const { clock, log } = this.#options;
    const { link, rid } = this;
    const manifest = this.#manifest;
    return createLockClient({
      call: link.call,
      commandLock: Command.lock,
      idleLimit: IDLE_LOCKS_MAX,
      brokenRules: this.#brokenRules,
      // Before there is a store there is no lock, and nothing to write back.
      flush: (range, to) => this.#store?.invalidate(range, to) ?? Promise.resolve(),
      onGrant: (_range, _mode, version) =>
        manifest.current.version < version ? manifest.reach(version) : undefined,
      onError: (error) => link.close(new FlushFailedError(rid, { cause: error })),
      clock,
      log,
    });
  }

  #makeReign(timing: MemberTiming, layout: VolumeLayout): Reign | undefined {
    const { compactorLimits = DEFAULT_COMPACTOR_LIMITS } = this.#options;
    if (this.#doorway === undefined) return undefined;
    const { transport, address: listenAddress } = this.#doorway;
    const { device, clock, random, cryptography, log, processes, fenceAgent, name = "" } = this.#options;
    const { superBlock, rid } = this;
    return Reign.start({
      server: {
        device,
        clock,
        random,
        transport,
        cryptography,
        log,
        superBlock,
        layout,
        rid,
        listenAddress,
        timing,
        compactorLimits,
        brokenRules: this.#brokenRules,
        name,
        process: ownProcess(processes, device),
        processes,
        fenceAgent,
      },
      region: this.#region,
      votes: () => this.#options.votes ?? this.#votes,
      onWon: (term) => this.link.lease.won(term),
      onHalted: (error) => this.#halted(error),
    });
  }

  /** Who cannot be elected, and finds nobody who was, need not wait: opening fails with the reason. */
  #halted(error: unknown): void {
    const { clock, timing, link } = this;
    // Nobody will ever serve a volume that is not there any more.
    if (error instanceof CorruptionError && error.code === "ERR_HOLDFAST_TERMS_FOREIGN") link.close(error);
    clock.at(clock.now() + timing.recoveryMs, () => {
      if (link.term === 0n && !link.isConnected && error instanceof Error) link.close(error);
    });
  }

  #handle(command: number, body: Uint8Array, respond: Respond): void {
    if (command === Command.invalidate) this.#locks.handleInvalidate(body, respond);
    else if (command === Command.compact) this.worker.accept(body, respond);
    else if (command === Command.serverLeaves) this.#serverLeaves(body, respond);
    else respond(Refusal.unknownCommand, EMPTY_BODY);
  }

  /** It hangs up behind this, and then the next one is looked for; a voter need not wait for silence. */
  #serverLeaves(body: Uint8Array, respond: Respond): void {
    const { term, isVacant } = ServerLeaves.decode(body);
    respond(0, EMPTY_BODY);
    if (isVacant) this.reign?.vacated(term);
  }

  #checkCommitted(): Promise<void> {
    const { device, clock } = this.#options;
    return checkCommitted({
      link: this.link,
      newestSeen: this.#newestSeen,
      readTermStatus: (term) => readTermStatus(this.#region, { device, clock }, term),
      brokenRules: this.#brokenRules,
    });
  }

  async #recordSegments(segments: readonly SegmentRef[], journalEpoch: bigint): Promise<void> {
    const encoded = segments.map((segment) => SegmentRef.encode(segment));
    await this.link.operation(Command.recordSegments, (operation) =>
      RecordSegmentsRequest.encode({ ...operation, segments: encoded, journalEpoch }),
    );
    await this.#manifest.refresh();
  }
}

function journalOf(reply: JoinReply): JournalRegion {
  const [first, second] = reply.journal;
  if (first === undefined || second === undefined) throw new RangeError("a journal has two halves");
  return { first, second };
}
