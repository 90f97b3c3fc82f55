/*
 * What happens to the server, and how each kind of it is set up and undone.
 */
import { join } from "node:path";
import { makeVolume } from "holdfast";
import { canMakeNamespaces, FaultyDisk, hasNbdkit, NamespaceNetwork } from "@holdfast/real-faults";
import type { MemberProcess, Place } from "./cluster.ts";

/** One kind of fault. */
export interface Fault {
  readonly name: string;
  /** Why it cannot be measured here; undefined if it can. */
  missing(): string | undefined;
  /** Makes a place for each of three members, on a volume in `directory`. */
  prepare(directory: string): Promise<PreparedFault>;
}

/** A fault that is ready to happen. */
export interface PreparedFault {
  readonly places: readonly Place[];
  /** Lets it happen; resolves as soon as it has. */
  strike(server: MemberProcess): Promise<void>;
  /** Undoes it, once the wait is measured; the member is replaced afterwards. */
  undo(server: MemberProcess): Promise<void>;
  /** Takes away what was prepared. */
  remove(): Promise<void>;
}

const MEMBERS = 3;
const VOLUME_BYTES = 1024n * 1024n * 1024n;
const LOOPBACK = "tcp://127.0.0.1:0";

/** The faults in the order of their rows. */
export const FAULTS: readonly Fault[] = [
  onLoopback("kill -9", (server) => server.signal("SIGKILL")),
  onLoopback("SIGSTOP", (server) => server.signal("SIGSTOP")),
  networkCut(),
  deviceErrors(),
  onLoopback("clean close", (server) => {
    // Its answer comes when it has left; what counts is when the others go on.
    void server.ask({ kind: "close" }).catch(() => undefined);
  }),
];

function onLoopback(name: string, strike: (server: MemberProcess) => void): Fault {
  return {
    name,
    missing: () => undefined,
    prepare: async (directory) => {
      const url = await freshVolume(directory);
      return {
        places: Array.from({ length: MEMBERS }, () => ({ url, listen: LOOPBACK, prefix: [] })),
        strike: (server) => {
          strike(server);
          return Promise.resolve();
        },
        undo: nothing,
        remove: nothing,
      };
    },
  };
}

/** Each member in a network namespace; the server's is cut off from the others, its disk is not. */
function networkCut(): Fault {
  return {
    name: "network cut",
    missing: () => (canMakeNamespaces() ? undefined : "this process may not make network namespaces"),
    prepare: async (directory) => {
      const url = await freshVolume(directory);
      const network = await NamespaceNetwork.make(MEMBERS);
      const places = network.hosts.map(({ address, prefix }) => ({
        url,
        listen: `tls://${address}:0`,
        prefix,
      }));
      const hostOf = ({ place }: MemberProcess): (typeof network.hosts)[number] => {
        const host = network.hosts[places.findIndex(({ listen }) => listen === place.listen)];
        if (host === undefined) throw new Error("a member runs on no host");
        return host;
      };
      return {
        places,
        strike: (server) => network.cut(hostOf(server)),
        undo: async (server) => {
          await server.end();
          await network.heal(hostOf(server));
        },
        remove: () => network.remove(),
      };
    },
  };
}

/** Each member reaches the volume by an NBD server of its own; the writes of the server's fail. */
function deviceErrors(): Fault {
  return {
    name: "device errors",
    missing: () => (hasNbdkit() ? undefined : "nbdkit is not installed"),
    prepare: async (directory) => {
      const path = await freshVolume(directory);
      const disks: FaultyDisk[] = [];
      const remove = async (): Promise<void> => {
        await Promise.all(disks.map((disk) => disk.stop()));
      };
      try {
        while (disks.length < MEMBERS) disks.push(await FaultyDisk.start(path));
      } catch (error) {
        await remove();
        throw error;
      }
      const diskOf = ({ place }: MemberProcess): FaultyDisk => {
        const disk = disks.find(({ url }) => url === place.url);
        if (disk === undefined) throw new Error("a member has no disk");
        return disk;
      };
      return {
        places: disks.map(({ url }) => ({ url, listen: LOOPBACK, prefix: [] })),
        strike: (server) => diskOf(server).failWrites(),
        undo: async (server) => {
          await server.end();
          await diskOf(server).recover();
        },
        remove,
      };
    },
  };
}

async function freshVolume(directory: string): Promise<string> {
  const path = join(directory, "volume.hf");
  await makeVolume(path, { sizeBytes: VOLUME_BYTES, label: "failover", isForced: true });
  return path;
}

function nothing(): Promise<void> {
  return Promise.resolve();
}
