import { BARE_ECHO } from "./bare-echo.ts";
import type { Contestant } from "./echo.ts";
import { GRPC_ECHO } from "./grpc-echo.ts";
import { SESSION_ECHO } from "./session-echo.ts";
import { WS_ECHO } from "./ws-echo.ts";

/** Names of the contestants, as the rows have them. */
export type ContestantName = "session" | "bare echo" | "ws" | "grpc-js";

/** Each contestant by its name. */
export const CONTESTANTS: Readonly<Record<ContestantName, Contestant>> = {
  session: SESSION_ECHO,
  "bare echo": BARE_ECHO,
  ws: WS_ECHO,
  "grpc-js": GRPC_ECHO,
};

/** The contestant of that name. @throws Error when there is none. */
export function contestantOf(name: string): Contestant {
  const found = Object.entries(CONTESTANTS).find(([known]) => known === name);
  if (found === undefined) throw new Error(`there is no contestant "${name}"`);
  return found[1];
}
