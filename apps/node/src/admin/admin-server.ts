/*
 * Serves one-shot commands of the same user from a running member.
 */
import { HoldfastError, type Logger, utf8 } from "@holdfast/environment";
import { type Entry, StatusReply, TuneRequest, FenceReply, FenceRequest } from "@holdfast/member";
import {
  DEFAULT_SESSION_TIMING,
  type Respond,
  type ServerSessions,
  type SessionIdentity,
  startServerSessions,
} from "@holdfast/net-reliable";
import { nodePorts } from "@holdfast/platform-node";
import type { Access } from "../access.ts";
import {
  ADMIN_FAILED,
  ADMIN_ITEMS_MAX,
  ADMIN_PAGE_BYTES,
  AdminBatch,
  AdminCommand,
  AdminFailure,
  AdminGet,
  AdminNames,
  AdminPage,
  AdminScan,
  AdminValue,
} from "./admin-protocol.ts";

/** What an admin server needs. */
export interface AdminServerOptions {
  readonly access: Access;
  readonly identity: SessionIdentity;
  /** Unix socket to listen on. */
  readonly address: string;
  readonly log: Logger;
}

/** Starts to serve; close what is returned to stop. */
export function startAdminServer({
  access,
  identity,
  address,
  log,
}: AdminServerOptions): Promise<ServerSessions> {
  const handle = (_rid: bigint, command: number, body: Uint8Array, respond: Respond): void => {
    answer(access, command, body.slice()).then(
      (reply) => respond(0, reply),
      (error: unknown) => respond(ADMIN_FAILED, AdminFailure.encode(failureOf(error))),
    );
  };
  return startServerSessions(
    {
      identity,
      listenAddress: address,
      // One process, one term: a session with a process that is gone is never taken up by another.
      term: BigInt(nodePorts.random.u32()) + 1n,
      timing: DEFAULT_SESSION_TIMING,
      admit: () => 0,
      handle,
      onPeerUp: () => {},
      onPeerDown: () => {},
    },
    {
      ...nodePorts,
      // To whom this process is a member is news; who ran a command is not.
      log: {
        debug: (facts, message) => log.debug(facts, message),
        info: (facts, message) => log.debug(facts, message),
        warn: (facts, message) => log.warn(facts, message),
        error: (facts, message) => log.error(facts, message),
      },
    },
  );
}

async function answer(access: Access, command: number, body: Uint8Array): Promise<Uint8Array> {
  switch (command) {
    case AdminCommand.get: {
      const { dataset, key } = AdminGet.decode(body);
      return AdminValue.encode({ value: await access.get(dataset, key) });
    }
    case AdminCommand.batch: {
      const { dataset, changes } = AdminBatch.decode(body);
      await access.batch(
        dataset,
        changes.map(({ key, value }) => (value === undefined ? { key } : { key, value })),
      );
      return new Uint8Array(0);
    }
    case AdminCommand.scan:
      return AdminPage.encode(await page(access, AdminScan.decode(body)));
    case AdminCommand.datasets:
      return AdminNames.encode({ names: await access.datasets() });
    case AdminCommand.createDataset:
      await access.createDataset(utf8.decode(body));
      return new Uint8Array(0);
    case AdminCommand.status:
      return StatusReply.encode(await access.status());
    case AdminCommand.fence:
      return FenceReply.encode(await access.fence(FenceRequest.decode(body)));
    case AdminCommand.tune:
      await access.tune(TuneRequest.decode(body));
      return new Uint8Array(0);
    default:
      throw new RangeError(`this member does not know command ${command}: it is of another release`);
  }
}

/** Gathers entries until the message is full. */
async function page(access: Access, scan: AdminScan): Promise<AdminPage> {
  const { dataset, from, to, prefix, after, limit, isReverse } = scan;
  const bound = after === undefined ? {} : isReverse ? { to: after } : { from: after };
  const entries: Entry[] = [];
  let bytes = 0;
  const options = {
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...bound,
    ...(prefix === undefined ? {} : { prefix }),
    // The entry that the page before ended with comes again and is dropped.
    limit: limit + (after === undefined ? 0 : 1),
    isReverse,
  };
  for await (const part of access.pages(dataset, options)) {
    for (const entry of part) {
      if (entries.length === 0 && after !== undefined && Buffer.compare(entry.key, after) === 0) continue;
      bytes += entry.key.length + entry.value.length;
      entries.push(entry);
      // Without the entry of the page before, deleted meanwhile, there would be one too many.
      if (entries.length === limit) return { entries, isLast: true };
      if (entries.length === ADMIN_ITEMS_MAX || bytes >= ADMIN_PAGE_BYTES) return { entries, isLast: false };
    }
  }
  return { entries, isLast: true };
}

function failureOf(error: unknown): AdminFailure {
  const message = (error instanceof Error ? error.message : String(error)).slice(0, 4096);
  if (error instanceof HoldfastError) return { code: error.code, category: error.category, message };
  return error instanceof RangeError || error instanceof TypeError
    ? { code: "ERR_HOLDFAST_USAGE", category: "usage", message }
    : { code: "ERR_HOLDFAST_INTERNAL", category: "io", message };
}
