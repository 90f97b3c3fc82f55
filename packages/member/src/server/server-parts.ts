/*
 * The parts of one server and the wires between them. Whoever needs a part that is made later gets it when it asks.
 */
import { type Deferred, deferred } from "@holdfast/environment";
import type { ServerSessions } from "@holdfast/net-reliable";
import type { Leadership } from "@holdfast/quorum";
import { type LockServerDriver, createLockServer } from "../locks/lock-server-driver.ts";
import { Command } from "../protocol.ts";
import { type VolumeSizes, sizesFor } from "../volume/sizes.ts";
import { VolumeState } from "../volume/volume-state.ts";
import { Attendance } from "./attendance.ts";
import { Committer } from "./committer.ts";
import { Compactor } from "./compactor.ts";
import { DeviceWatch } from "./device-watch.ts";
import { Evictions } from "./evictions.ts";
import { Departures } from "./fencing/departures.ts";
import { openingState } from "./opening.ts";
import { Reception } from "./reception.ts";
import { Requests } from "./requests.ts";
import type { ServerRoleOptions } from "./server-role.ts";
import { VolumeTrees } from "./volume-trees.ts";
import { Watchdog } from "./watchdog.ts";

/** Where the rule is broken that a silent member's lease ends before it is evicted: how soon it is evicted then. */
const HASTY_MS = 1;

/** What the parts stand on. */
export interface ServerPartsOptions extends Omit<ServerRoleOptions, "onEnded"> {
  readonly leadership: Leadership;
  readonly sessions: ServerSessions;
  /** Answers `status`. */
  readonly status: () => Promise<Uint8Array>;
  /** The reign cannot go on. */
  readonly onFatal: (error: unknown) => void;
}

/** The parts of one server. */
export class ServerParts {
  readonly committer: Committer;
  readonly departures: Departures;
  readonly compactor: Compactor;
  readonly requests: Requests;
  readonly evictions: Evictions;
  readonly locks: LockServerDriver;
  readonly attendance: Attendance;
  readonly reception: Reception;
  readonly watchdog: Watchdog;
  /** Resolves when this server's own member is counted in. */
  readonly ownMember: Deferred<void> = deferred();
  readonly #options: ServerPartsOptions;
  readonly #sizes: VolumeSizes;
  readonly #call: ServerSessions["call"];
  #isOwnCountedIn = false;

  constructor(options: ServerPartsOptions) {
    const { sessions, layout, clock, timing, leadership, onFatal } = options;
    this.#options = options;
    this.#sizes = sizesFor(layout.dataCount);
    this.#call = (...args) => sessions.call(...args);
    const watch = new DeviceWatch(options.device);
    this.watchdog = new Watchdog({
      clock,
      timing,
      watch,
      leadership,
      address: sessions.address,
      isOwnMissing: () => this.#isOwnMissing,
      onEnd: onFatal,
    });
    this.committer = this.#makeCommitter(watch);
    this.departures = this.#makeDepartures();
    this.compactor = this.#makeCompactor();
    this.requests = this.#makeRequests();
    this.evictions = this.#makeEvictions(watch);
    this.locks = this.#makeLocks();
    this.attendance = this.#makeAttendance();
    this.reception = this.#makeReception();
    this.ownMember.promise.then(
      () => {
        this.#isOwnCountedIn = true;
      },
      // Nobody may be waiting for it when the reign ends.
      () => {},
    );
  }

  /** Before the opening is recorded, nobody can find the address. */
  get #isOwnMissing(): boolean {
    const isAwaited = this.reception.isOpen && !this.#isOwnCountedIn;
    return isAwaited && !this.attendance.roster.isConnected(this.#options.rid);
  }

  #makeCommitter({ device }: DeviceWatch): Committer {
    const { superBlock, layout, rid, brokenRules, log, leadership, sessions, process, onFatal } =
      this.#options;
    const { term, adopted } = leadership;
    const opening = openingState(VolumeState.decode(adopted.payload), adopted, { term, process });
    const { fsid } = superBlock;
    const data = { start: layout.dataBlock, lengthBlocks: Number(layout.dataCount) };
    const sizes = this.#sizes;
    const trees = new VolumeTrees({ device, fsid, rid, term, data, sizes, brokenRules }, opening);
    const onRecorded = (written: VolumeTrees): void => this.departures.recorded(written);
    const { address } = sessions;
    return new Committer({ trees, leadership, address, brokenRules, log, onFatal, onRecorded }, opening);
  }

  #makeDepartures(): Departures {
    const { rid, name, process, processes, fenceAgent, layout, brokenRules, clock, onFatal, log } =
      this.#options;
    return new Departures({
      own: rid,
      name,
      process,
      processes,
      agent: fenceAgent,
      volumeBlocks: Number(layout.dataCount),
      brokenRules,
      clock,
      committer: this.committer,
      roster: () => this.attendance.roster,
      onGone: (member) => this.attendance.gone(member),
      onFatal,
      log,
    });
  }

  #makeCompactor(): Compactor {
    const { clock, compactorLimits, onFatal, log } = this.#options;
    return new Compactor({
      committer: this.committer,
      clock,
      call: this.#call,
      workers: () => this.attendance.roster.workers(),
      limits: compactorLimits,
      onFatal,
      log,
    });
  }

  #makeRequests(): Requests {
    const { clock, leadership, log } = this.#options;
    return new Requests({
      committer: this.committer,
      leadership,
      compactor: this.compactor,
      sizes: this.#sizes,
      clock,
      onOwner: (member) => this.departures.left(member),
      log,
    });
  }

  #makeEvictions({ device }: DeviceWatch): Evictions {
    const { superBlock, rid, leadership, clock, onFatal, log, brokenRules } = this.#options;
    return new Evictions({
      brokenRules,
      device,
      fsid: superBlock.fsid,
      rid,
      term: leadership.term,
      clock,
      committer: this.committer,
      ownMember: this.ownMember.promise,
      onDone: (member) => {
        this.attendance.evicted(member);
        this.departures.evicted(member);
      },
      onFatal,
      log,
    });
  }

  #makeLocks(): LockServerDriver {
    const { leadership, clock, log } = this.#options;
    return createLockServer({
      term: leadership.term,
      commandInvalidate: Command.invalidate,
      call: this.#call,
      gate: () => leadership.check(),
      manifestVersion: () => this.committer.committed.manifestVersion,
      onBadPeer: (member, reason) => this.attendance.expel(member, reason),
      onAwaited: () => this.attendance.lockIsAwaited(),
      clock,
      log,
    });
  }

  #makeAttendance(): Attendance {
    const { rid, leadership, clock, timing, sessions, formerQuiet, onFatal, log, brokenRules } =
      this.#options;
    const isHasty = brokenRules.has("eviction-waits-for-lease");
    return new Attendance(
      {
        own: rid,
        former: leadership.adopted.writer,
        clock,
        timing: isHasty ? { ...timing, recoveryMs: HASTY_MS, memberTimeoutMs: HASTY_MS } : timing,
        brokenRules,
        committer: this.committer,
        requests: this.requests,
        locks: this.locks,
        evictions: this.evictions,
        compactor: this.compactor,
        formerQuiet,
        evidenceOf: (member) => this.departures.evidenceOf(member),
        onAwaited: (member) => this.departures.awaited(member),
        bar: (member) => sessions.evict(member),
        onFatal,
        log,
      },
      this.ownMember,
    );
  }

  #makeReception(): Reception {
    const { status, sessions, onFatal, log } = this.#options;
    return new Reception({
      attendance: this.attendance,
      requests: this.requests,
      locks: this.locks,
      status,
      fence: (body) => this.departures.fence(body),
      forgetSession: (member) => sessions.forget(member),
      onFatal,
      log,
    });
  }
}
