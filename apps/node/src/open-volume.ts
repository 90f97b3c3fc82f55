/*
 * The library's front door: opens a volume by URL with the drivers of Node.js.
 */
import { hostname } from "node:os";
import { type OpenedBlockDevice, openBlockDevice } from "@holdfast/block-device";
import { type Logger, SILENT_LOGGER } from "@holdfast/environment";
import {
  type CloseOptions,
  type Dataset,
  type Member,
  type MemberReport,
  type MemberTiming,
  openMember,
  readSuper,
  type StatusReply,
  type TuneRequest,
  VOLUME_FORMAT_HASH,
  type FenceOptions,
  type FenceReply,
} from "@holdfast/member";
import { openFenceAgent } from "./open-fence-agent.ts";
import { DEFAULT_LISTEN_ADDRESS, checkListenAddress } from "./listen-address.ts";
import { createNodeTransport, nodePorts, nodeProcesses } from "@holdfast/platform-node";

/** How to open a volume. */
export interface OpenVolumeOptions {
  /**
   * Where this process listens when it serves; default `tcp://127.0.0.1:0`, any free port, this host only. Members of
   * other hosts need an address they reach, `tls://192.0.2.7:7000` for example; TLS takes its key from the volume.
   * `false`: never serve, never vote.
   */
  readonly listen?: string | false;
  /** A pino logger, or anything shaped like one; silent by default. */
  readonly log?: Logger;
  /** Refuse any other volume than the one with this identity. */
  readonly fsid?: bigint;
  /** Name of this process in `holdfast status`, 1 to 128 bytes; default host and process id. */
  readonly name?: string;
  /** Time limits; see docs/operations. */
  readonly timing?: MemberTiming;
  /** Campaigns with so many votes, whatever the volume asks for: for tools that take the place of voters that are away. */
  readonly votes?: number;
  /**
   * Executable that cuts dead members off from the volume, and says by exit code 0 that they can never write again; run while
   * this process serves. See docs/operations/fencing.md.
   */
  readonly fenceAgent?: string;
  /**
   * Longest wait for a peer's bytes, in microseconds, that is watched with a busy processor, where such short waits were
   * common lately; 200 by default, 0 to sleep through all of them.
   */
  readonly pollMaxUs?: number;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
  /** Told once if the membership ends by itself: evicted while this process was silent. */
  readonly onLost?: (error: Error) => void;
}

/** An open volume. */
export class Volume implements AsyncDisposable {
  readonly #member: Member;
  readonly #device: OpenedBlockDevice;
  #closing: Promise<void> | undefined;

  constructor(member: Member, device: OpenedBlockDevice) {
    this.#member = member;
    this.#device = device;
  }

  /** Identity of the volume. */
  get fsid(): bigint {
    return this.#member.fsid;
  }

  /** Identity of this opening. */
  get rid(): bigint {
    return this.#member.rid;
  }

  /** A dataset; "main" always exists. @throws {@link DatasetError} `ERR_HOLDFAST_DATASET_UNKNOWN` */
  dataset(name?: string, signal?: AbortSignal): Promise<Dataset> {
    return this.#member.dataset(name, signal);
  }

  /** Creates a dataset. @throws {@link DatasetError} `ERR_HOLDFAST_DATASET_EXISTS` */
  createDataset(name: string, signal?: AbortSignal): Promise<Dataset> {
    return this.#member.createDataset(name, signal);
  }

  /** Names of all datasets, in order. */
  datasets(signal?: AbortSignal): Promise<readonly string[]> {
    return this.#member.datasets(signal);
  }

  /** What this process knows of itself. */
  report(): MemberReport {
    return this.#member.report();
  }

  /** What the server says of the volume. */
  status(signal?: AbortSignal): Promise<StatusReply> {
    return this.#member.status(signal);
  }

  /**
   * Says that a member can never write again, so that its blocks come back; evicts it first if it is a member still.
   *
   * @throws {@link FenceRefusedError} when it is connected (unless `isForced`), serves, or is unknown.
   */
  fence(rid: bigint, options: FenceOptions): Promise<FenceReply> {
    return this.#member.fence(rid, options);
  }

  /** Changes how many voters must agree before one campaigns. @throws {@link TooFewVotersError} */
  tune(change: TuneRequest, signal?: AbortSignal): Promise<void> {
    return this.#member.tune(change, signal);
  }

  /**
   * Writes back, says farewell, hands the server role on. Idempotent. Waits for others no longer than `timing.closeMs`, and not
   * when `signal` aborts: then this process leaves as a crash would, and nothing acknowledged is lost.
   *
   * @throws {@link CloseTimeoutError} `ERR_HOLDFAST_CLOSE_TIMEOUT`, {@link CancelledError}.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(options: CloseOptions): Promise<void> {
    try {
      await this.#member.close(options);
    } finally {
      await this.#device.close();
    }
  }
}

/** What a process is called in the status unless it says otherwise. */
export function defaultName(): string {
  return `${hostname()}/${process.pid}`;
}

/**
 * Opens a volume and resolves once this process is a member of it.
 *
 * @param url - `file:PATH`, a plain path of a file or block device, `nbd://HOST:PORT/EXPORT` and its kin, or
 * `memory:NAME?size=64M`.
 * @example
 * await using volume = await openVolume("/dev/vdb");
 * const users = await volume.dataset();
 * await users.put("ada", "1815");
 * @throws {@link VolumeError} when it is no volume, {@link DeviceError} when the device cannot be opened,
 * {@link TransportError} when this process could not listen where it was told to, {@link FenceAgentError} when the fence agent
 * cannot be executed.
 * @throws RangeError when a name is empty or too long, or times do not fit each other.
 */
export async function openVolume(url: string, options: OpenVolumeOptions = {}): Promise<Volume> {
  const { listen = DEFAULT_LISTEN_ADDRESS, fsid, timing, votes, pollMaxUs, signal, onLost } = options;
  const log = options.log ?? SILENT_LOGGER;
  if (options.name === "") throw new RangeError("a name has 1 to 128 bytes: leave it away for host/process");
  if (listen !== false) checkListenAddress(listen);
  const fenceAgent = options.fenceAgent === undefined ? undefined : await openFenceAgent(options.fenceAgent);
  const device = await openBlockDevice(url, {
    ...(options.log === undefined ? {} : { log: options.log }),
    ...(signal === undefined ? {} : { signal }),
  });
  try {
    // Whoever reads the volume may join it, through TLS too: its key is the key of the connections.
    const { superBlock } = await readSuper(device, VOLUME_FORMAT_HASH, fsid);
    const member = await openMember({
      ...nodePorts,
      device,
      transport: createNodeTransport({
        key: superBlock.key,
        log,
        ...(pollMaxUs === undefined ? {} : { pollMaxUs }),
      }),
      log,
      processes: nodeProcesses,
      ...(fenceAgent === undefined ? {} : { fenceAgent }),
      name: options.name ?? defaultName(),
      ...(listen === false ? {} : { listenAddress: listen }),
      ...(fsid === undefined ? {} : { expectedFsid: fsid }),
      ...(timing === undefined ? {} : { timing }),
      ...(votes === undefined ? {} : { votes }),
      ...(signal === undefined ? {} : { signal }),
      ...(onLost === undefined ? {} : { onLost }),
    });
    return new Volume(member, device);
  } catch (error) {
    await device.close();
    throw error;
  }
}
