/*
 * `holdfast run`: a member until it is told to stop.
 */
import { deferred } from "@holdfast/environment";
import { pino } from "pino";
import { newSocketAddress, removeSocket } from "../../admin/admin-socket.ts";
import { startAdminServer } from "../../admin/admin-server.ts";
import { openVolume } from "../../open-volume.ts";
import { VolumeAccess } from "../../volume-access.ts";
import { ExitCode, exitCodeFor } from "../exit-codes.ts";
import { hex, print } from "../output.ts";
import { superOf } from "../../super-of.ts";

/** How to run. */
export interface RunCommand {
  readonly url: string;
  readonly listen: string | false;
  readonly name: string | undefined;
  readonly logLevel: string;
  readonly isJson: boolean;
}

/** Signals that end a member in order. */
const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Runs a member until SIGTERM or SIGINT; resolves with the exit code. */
export async function runMember({ url, listen, name, logLevel, isJson }: RunCommand): Promise<number> {
  const log = pino({ level: logLevel }, pino.destination({ dest: 2, sync: true }));
  const { fsid, formatHash, key, label } = await superOf(url);
  const stopped = new AbortController();
  const end = deferred<number>();
  for (const signal of STOP_SIGNALS) {
    process.once(signal, () => {
      log.info({ event: "run.stopping", signal }, "stopping");
      stopped.abort(new Error(`stopped by ${signal}`));
      end.resolve(ExitCode.ok);
    });
  }
  const onLost = (error: Error): void => {
    log.error({ event: "run.lost", err: error }, "this process is no member any more");
    end.resolve(exitCodeFor(error));
  };
  const volume = await openVolume(url, {
    listen,
    log,
    fsid,
    signal: stopped.signal,
    onLost,
    ...(name === undefined ? {} : { name }),
  });
  const address = await newSocketAddress(fsid, volume.rid);
  const admin = await startAdminServer({
    access: new VolumeAccess(volume),
    identity: { fsid, formatHash, key },
    address,
    log,
  });
  print(isJson, { fsid, rid: volume.rid, label, pid: process.pid, socket: address }, [
    `member ${hex(volume.rid)} of volume ${hex(fsid)} runs as process ${process.pid}; stop it with SIGTERM`,
  ]);
  const code = await end.promise;
  await admin.close();
  await removeSocket(address);
  if (code === ExitCode.ok) await volume.close();
  return code;
}
