import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type FenceAgent, HoldfastError } from "@holdfast/environment";
import { executableFenceAgent } from "@holdfast/platform-node";

/** A fence agent that this process cannot run: better known at the start than when it is needed. */
export class FenceAgentError extends HoldfastError<"ERR_HOLDFAST_FENCE_AGENT", { readonly path: string }> {
  constructor(path: string, cause: unknown) {
    super(
      "ERR_HOLDFAST_FENCE_AGENT",
      "usage",
      `the fence agent ${path} is no file that this process may execute: check the path and its rights`,
      { path },
      { cause },
    );
  }
}

/**
 * The fence agent at a path.
 *
 * @throws {@link FenceAgentError} `ERR_HOLDFAST_FENCE_AGENT` when it cannot be executed.
 */
export async function openFenceAgent(path: string): Promise<FenceAgent> {
  const absolute = resolve(path);
  try {
    await access(absolute, constants.X_OK);
    // Of a directory the same right means something else.
    if (!(await stat(absolute)).isFile()) throw new Error("it is no file");
  } catch (cause) {
    throw new FenceAgentError(absolute, cause);
  }
  return executableFenceAgent(absolute);
}
