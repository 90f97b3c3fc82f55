/*
 * Two hosts on one machine, as a shared disk sees them: loop devices over one file, each with a page cache of its own.
 */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const PROBE_BYTES = 1024 * 1024;

/** True if this process may make loop devices that bypass the page cache of their file. */
export function canMakeLoopDevices(): boolean {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-loop-"));
  const path = join(directory, "probe");
  try {
    writeFileSync(path, "");
    truncateSync(path, PROBE_BYTES);
    const made = spawnSync("losetup", ["--find", "--show", "--direct-io=on", path], { encoding: "utf8" });
    if (made.status !== 0) return false;
    return spawnSync("losetup", ["--detach", made.stdout.trim()]).status === 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A block device over a file. */
export class LoopDevice {
  /** `/dev/loop…` */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes one; {@link detach} takes it away. */
  static async attach(file: string): Promise<LoopDevice> {
    const { stdout } = await run("losetup", ["--find", "--show", "--direct-io=on", file]);
    return new LoopDevice(stdout.trim());
  }

  /** Takes it away; nobody has it open any more. */
  async detach(): Promise<void> {
    await run("losetup", ["--detach", this.path]);
  }
}
