/*
 * The other side of a measurement, in a process of its own, so that the two do not share an event loop.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A running child. */
export interface Child {
  /** Sends a line and resolves with the line that answers it; one at a time. */
  ask(line: string): Promise<string>;
  /** Lets it end in order and resolves when it has. */
  stop(): Promise<void>;
}

/**
 * Starts a module of this package's build and resolves with the first line it says.
 *
 * @param module - Path below `dist`.
 */
export async function startChild(
  module: string,
  words: readonly string[],
): Promise<{ readonly child: Child; readonly greeting: string }> {
  const path = fileURLToPath(new URL(`../dist/${module}`, import.meta.url));
  const child = fork(path, [...words], { execArgv: [] });
  const exited = once(child, "exit");
  const greeting = await nextLine(child, exited);
  return {
    greeting,
    child: {
      ask: async (line) => {
        const answer = nextLine(child, exited);
        child.send(line);
        return answer;
      },
      stop: async () => {
        if (child.connected) child.disconnect();
        await exited;
      },
    },
  };
}

/** In the child: says a line. */
export function say(line: string): void {
  process.send?.(line);
}

/** In the child: resolves when the parent has let go. */
export async function parentGone(): Promise<void> {
  await once(process, "disconnect");
}

async function nextLine(child: ChildProcess, exited: Promise<unknown>): Promise<string> {
  const gone = exited.then(() => {
    throw new Error(`a measured process ended early, exit code ${child.exitCode}`);
  });
  const [line] = await Promise.race([once(child, "message"), gone]);
  return String(line);
}
