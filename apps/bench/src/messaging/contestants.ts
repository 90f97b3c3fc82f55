import type { Contestant } from "./echo.ts";

/** Names of the contestants, as the rows have them. */
export type ContestantName = "session" | "session, sleeps" | "bare echo" | "ws" | "grpc-js";

/** Loads each contestant by its name: no process carries the code of another one. */
const CONTESTANTS: Readonly<Record<ContestantName, () => Promise<Contestant>>> = {
  session: async () => (await import("./session-echo.ts")).SESSION_ECHO,
  "session, sleeps": async () => (await import("./session-echo.ts")).SLEEPING_SESSION_ECHO,
  "bare echo": async () => (await import("./bare-echo.ts")).BARE_ECHO,
  ws: async () => (await import("./ws-echo.ts")).WS_ECHO,
  "grpc-js": async () => (await import("./grpc-echo.ts")).GRPC_ECHO,
};

/** The contestant of that name. @throws Error when there is none. */
export async function contestantOf(name: string): Promise<Contestant> {
  const found = Object.entries(CONTESTANTS).find(([known]) => known === name);
  if (found === undefined) throw new Error(`there is no contestant "${name}"`);
  const [, load] = found;
  return await load();
}
