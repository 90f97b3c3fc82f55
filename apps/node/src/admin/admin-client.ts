/*
 * Access to a volume through a member that runs on the same host.
 */
import { type ErrorCategory, HoldfastError, type Logger, utf8 } from "@holdfast/environment";
import {
  type Change,
  DatasetError,
  type Entry,
  StatusReply,
  TuneRequest,
  FenceReply,
  FenceRequest,
} from "@holdfast/member";
import {
  type ClientSession,
  DEFAULT_SESSION_TIMING,
  RequestError,
  type SessionIdentity,
  startClientSession,
} from "@holdfast/net-reliable";
import { nodePorts } from "@holdfast/platform-node";
import type { Access, AccessScan } from "../access.ts";
import { checkItem } from "../check-item.ts";
import {
  ADMIN_FAILED,
  ADMIN_NAME_LENGTH_MAX,
  AdminBatch,
  AdminCommand,
  AdminFailure,
  AdminGet,
  AdminNames,
  AdminPage,
  AdminScan,
  AdminValue,
} from "./admin-protocol.ts";

/** An error that the member answered with, as it said it. */
export class RemoteError extends HoldfastError<string, Record<string, never>> {
  constructor({ code, category, message }: AdminFailure) {
    // Both ends are of one release, so the category is one of ours.
    super(code, category as ErrorCategory, message, {});
  }
}

/** The member went away before it answered. */
export class MemberGoneError extends HoldfastError<"ERR_HOLDFAST_MEMBER_GONE", Record<string, never>> {
  constructor() {
    super(
      "ERR_HOLDFAST_MEMBER_GONE",
      "retry",
      "the local member ended before it answered: what was asked last may or may not have happened; ask again",
      {},
    );
  }
}

const NOTHING = new Uint8Array(0);

/** How to find a member, and who it must be. */
export interface AdminClientOptions {
  /** The member's socket. */
  readonly address: string;
  /** The volume, as its super block says. */
  readonly identity: SessionIdentity;
  readonly log: Logger;
  /** Gives up connecting. */
  readonly signal: AbortSignal;
}

/** Reads and writes through a local member. */
export class AdminClient implements Access {
  readonly via = "local member" as const;
  readonly #session: ClientSession;
  #isLost = false;

  private constructor(session: ClientSession) {
    this.#session = session;
  }

  /** Connects to a member; undefined when it does not accept us before `signal` aborts. */
  static connect({ address, identity, log, signal }: AdminClientOptions): Promise<AdminClient | undefined> {
    return new Promise((resolve) => {
      let client: AdminClient | undefined;
      const { fsid, formatHash, key } = identity;
      const session = startClientSession(
        {
          identity: { fsid, formatHash, key },
          rid: nodePorts.random.u64() | 1n,
          isVoter: false,
          timing: DEFAULT_SESSION_TIMING,
          findServer: () => Promise.resolve(address),
          handle: (_rid, _command, _body, respond) => respond(ADMIN_FAILED, NOTHING),
          onServer: () => {
            signal.removeEventListener("abort", lost);
            client ??= new AdminClient(session);
            resolve(client);
            return Promise.resolve();
          },
          onHeard: () => {},
          onRefused: lost,
          onDisconnected: lost,
        },
        { ...nodePorts, log },
      );
      signal.addEventListener("abort", lost, { once: true });

      function lost(): void {
        if (client !== undefined) return client.#lose();
        session.close();
        resolve(undefined);
      }
    });
  }

  async get(dataset: string, key: string): Promise<Uint8Array | undefined> {
    checkDataset(dataset);
    checkItem(bytesOf(key), undefined);
    return AdminValue.decode(await this.#ask(AdminCommand.get, AdminGet.encode({ dataset, key }))).value;
  }

  async batch(dataset: string, changes: readonly Change[]): Promise<void> {
    checkDataset(dataset);
    const encoded = changes.map(({ key, value }) => ({
      key: bytesOf(key),
      value: value === undefined ? undefined : bytesOf(value),
    }));
    for (const { key, value } of encoded) checkItem(key, value);
    await this.#ask(AdminCommand.batch, AdminBatch.encode({ dataset, changes: encoded }));
  }

  async *pages(dataset: string, scan: AccessScan): AsyncGenerator<readonly Entry[], void, void> {
    const { isReverse = false } = scan;
    const [from, to, prefix] = [scan.from, scan.to, scan.prefix].map((bound) =>
      bound === undefined ? undefined : bytesOf(bound),
    );
    checkDataset(dataset);
    for (const bound of [from, to]) if (bound !== undefined) checkItem(bound, undefined);
    if (prefix !== undefined && prefix.length > 0) checkItem(prefix, undefined);
    let left = scan.limit ?? 0xffff_fffe;
    let after: Uint8Array | undefined;
    while (left > 0) {
      const request = AdminScan.encode({ dataset, from, to, prefix, after, limit: left, isReverse });
      const { entries, isLast } = AdminPage.decode(await this.#ask(AdminCommand.scan, request));
      left -= entries.length;
      after = entries.at(-1)?.key;
      if (entries.length > 0) yield entries;
      if (isLast || after === undefined) return;
    }
  }

  async datasets(): Promise<readonly string[]> {
    return AdminNames.decode(await this.#ask(AdminCommand.datasets, NOTHING)).names;
  }

  async createDataset(name: string): Promise<void> {
    await this.#ask(AdminCommand.createDataset, utf8.encode(name));
  }

  async status(): Promise<StatusReply> {
    return StatusReply.decode(await this.#ask(AdminCommand.status, NOTHING));
  }

  async fence(request: FenceRequest): Promise<FenceReply> {
    return FenceReply.decode(await this.#ask(AdminCommand.fence, FenceRequest.encode(request)));
  }

  async tune(change: TuneRequest): Promise<void> {
    await this.#ask(AdminCommand.tune, TuneRequest.encode(change));
  }

  close(): Promise<void> {
    this.#session.close();
    return Promise.resolve();
  }

  #lose(): void {
    this.#isLost = true;
    this.#session.close();
  }

  async #ask(command: number, body: Uint8Array): Promise<Uint8Array> {
    if (this.#isLost) throw new MemberGoneError();
    try {
      return await this.#session.request(command, body);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.facts.error === ADMIN_FAILED) throw new RemoteError(AdminFailure.decode(error.body));
      throw this.#isLost ? new MemberGoneError() : error;
    }
  }
}

/** A name that no dataset can have need not travel. */
function checkDataset(name: string): void {
  if (name.length > ADMIN_NAME_LENGTH_MAX) throw new DatasetError("ERR_HOLDFAST_DATASET_UNKNOWN", name);
}

function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === "string" ? utf8.encode(value) : value;
}
