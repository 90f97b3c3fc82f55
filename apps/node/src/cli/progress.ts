/*
 * Progress of long work on stderr: a bar on a terminal, else a line every few seconds.
 */
import { Presets, SingleBar } from "cli-progress";

/** Tells how far long work has come. */
export interface Progress {
  /** `done` of `total`, in whatever unit; call as often as is convenient. */
  update(done: number, total: number): void;
  stop(): void;
}

const LINE_EVERY_MS = 5000;

/** Progress of `what`; silent when `isQuiet`. */
export function startProgress(what: string, isQuiet: boolean): Progress {
  if (isQuiet) return { update: () => {}, stop: () => {} };
  return process.stderr.isTTY ? bar(what) : lines(what);
}

function bar(what: string): Progress {
  const single = new SingleBar(
    {
      format: `${what} [{bar}] {percentage}% {value}/{total} {eta_formatted}`,
      stream: process.stderr,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let isStarted = false;
  return {
    update(done, total) {
      if (!isStarted) single.start(total, done);
      isStarted = true;
      single.setTotal(total);
      single.update(done);
    },
    stop: () => single.stop(),
  };
}

function lines(what: string): Progress {
  let next = performance.now() + LINE_EVERY_MS;
  return {
    update(done, total) {
      if (performance.now() < next) return;
      next = performance.now() + LINE_EVERY_MS;
      process.stderr.write(
        `${what}: ${done} of ${total} (${Math.floor((100 * done) / Math.max(1, total))} %)\n`,
      );
    },
    stop: () => {},
  };
}
