/*
 * Emptying the microtask queue between two events.
 *
 * Node's own tick runner is reachable as the undocumented `process._tickCallback`: it empties `nextTick` callbacks and
 * promise jobs to any depth and lets unhandled rejections surface. It does nothing when called from inside a promise
 * job, so it must be called from a macrotask, and a self-test decides before each run whether it works here at all.
 * Where it does not, one `setImmediate` per event does the same at half the speed.
 */

interface TickRunner {
  readonly _tickCallback?: () => void;
}

// Taken before any tripwire replaces it.
const setImmediateOfNode = setImmediate;

/** Awaits that the self-test chains; a runner that stops early is not used. */
const SELF_TEST_DEPTH = 64;

/** Node's tick runner, if it works from here. Call it from a macrotask. */
export function findTickRunner(): (() => void) | undefined {
  // The alias is undocumented, so no declaration of `process` has it.
  const run = (process as unknown as TickRunner)._tickCallback;
  if (typeof run !== "function") return undefined;
  let depth = 0;
  void chain();
  run.call(process);
  return depth === SELF_TEST_DEPTH ? () => run.call(process) : undefined;

  async function chain(): Promise<void> {
    while (depth < SELF_TEST_DEPTH) {
      await Promise.resolve();
      depth += 1;
    }
  }
}

/** Resolves in a macrotask of its own, after all microtasks. */
export function nextMacrotask(): Promise<void> {
  return new Promise((resolve) => {
    setImmediateOfNode(resolve);
  });
}

/** Runs `action` in a macrotask of its own; what it throws rejects the promise. */
export function inMacrotask(action: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    setImmediateOfNode(() => {
      try {
        action();
        resolve();
      } catch (error) {
        reject(error instanceof Error ? error : new Error("a macrotask failed", { cause: error }));
      }
    });
  });
}
