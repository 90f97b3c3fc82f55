import { ClientDriver } from "./client-driver.ts";
import type { ClientSession, ClientSessionOptions } from "./client-options.ts";
import type { SessionPorts } from "./session-ports.ts";

/**
 * Opens a member's session; it goes on until it is closed or refused.
 *
 * @throws TypeError unless exactly one of `address` and `findServer` is given; RangeError when the key is too short.
 * @example
 * const session = startClientSession({ identity: { key }, address: "tls://10.0.0.7:7700" }, ports);
 * const answer = await session.request(1, body, AbortSignal.timeout(10_000));
 */
export function startClientSession(options: ClientSessionOptions, ports: SessionPorts): ClientSession {
  const session = new ClientDriver(options, ports);
  session.start();
  return session;
}
