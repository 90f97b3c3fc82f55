import { SILENT_LOGGER } from "@holdfast/environment";
import type { Access } from "./access.ts";
import { AdminClient, MemberGoneError } from "./admin/admin-client.ts";
import { isAbandoned } from "./admin/admin-socket.ts";
import { superOf } from "./super-of.ts";

/** A member that runs greets within milliseconds; one that is frozen never does. */
const GREETING_LIMIT_MS = 5000;

/**
 * Access to a volume through a member that runs on this host, without becoming one: as the one-shot commands have it.
 *
 * @param socket - Address that `holdfast run --json` printed.
 * @throws {@link MemberGoneError} `ERR_HOLDFAST_MEMBER_GONE` when nobody answers there.
 */
export async function connectToMember(url: string, socket: string): Promise<Access> {
  const { superBlock } = await superOf(url);
  if (await isAbandoned(socket)) throw new MemberGoneError();
  const signal = AbortSignal.timeout(GREETING_LIMIT_MS);
  const client = await AdminClient.connect({
    address: socket,
    identity: superBlock,
    log: SILENT_LOGGER,
    signal,
  });
  if (client === undefined) throw new MemberGoneError();
  return client;
}
