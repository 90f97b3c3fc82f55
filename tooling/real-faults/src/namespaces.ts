/*
 * Hosts on one machine: network namespaces, each with one address, joined by a bridge that stands in a namespace of its
 * own. So nothing outside them is touched, and nobody is told of a cut: a host is cut off by its port of the bridge that
 * goes down, and one way between two hosts by a neighbour entry that leads to an Ethernet address which nobody has.
 */
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Most hosts of one network: the last byte of an address. */
const HOSTS_MAX = 200;

/** One host. */
export interface NamespaceHost {
  /** Its name, for `ip netns exec`. */
  readonly namespace: string;
  /** Its IPv4 address. */
  readonly address: string;
  /** Words to put before a command, so that it runs there. */
  readonly prefix: readonly string[];
}

/** An Ethernet address of no host: locally administered, and none that Linux draws. */
const NOBODY = "02:00:00:00:00:01";

let networksCount = 0;

/** True if this process may make network namespaces here. */
export function canMakeNamespaces(): boolean {
  const name = `hf-probe-${process.pid}`;
  const made = spawnSync("ip", ["netns", "add", name]);
  if (made.status !== 0) return false;
  const inside = spawnSync("ip", ["netns", "exec", name, "ip", "link", "set", "lo", "up"]);
  spawnSync("ip", ["netns", "delete", name]);
  return inside.status === 0;
}

/** A network of hosts that can be cut off one by one, or from one another. */
export class NamespaceNetwork {
  readonly hosts: readonly NamespaceHost[];
  readonly #bridge: string;
  readonly #ports: readonly string[];

  private constructor(bridge: string, hosts: readonly NamespaceHost[], ports: readonly string[]) {
    this.#bridge = bridge;
    this.hosts = hosts;
    this.#ports = ports;
  }

  /**
   * Makes the hosts; {@link remove} takes them away again.
   *
   * @throws RangeError when there are too many; the error of `ip` when this process may not.
   */
  static async make(hostCount: number): Promise<NamespaceNetwork> {
    if (hostCount < 1 || hostCount > HOSTS_MAX) throw new RangeError(`a network has 1 to ${HOSTS_MAX} hosts`);
    networksCount += 1;
    const tag = `hf${process.pid}n${networksCount}`;
    const bridge = `${tag}-sw`;
    const names = Array.from({ length: hostCount }, (_, index) => `${tag}-${index + 1}`);
    const hosts = names.map((namespace, index) => ({
      namespace,
      address: `10.77.0.${index + 1}`,
      prefix: ["ip", "netns", "exec", namespace],
    }));
    const ports = names.map((_, index) => `port${index + 1}`);
    const network = new NamespaceNetwork(bridge, hosts, ports);
    try {
      await network.#build();
      return network;
    } catch (error) {
      await network.remove();
      throw error;
    }
  }

  /** Cuts a host off from all others; its connections stay open and say nothing. */
  async cut(host: NamespaceHost): Promise<void> {
    await this.#switchPort(host, "down");
  }

  /** Joins it again. */
  async heal(host: NamespaceHost): Promise<void> {
    await this.#switchPort(host, "up");
  }

  /** What `from` sends to `to` is lost from now on; the other way stays. */
  async cutOneWay(from: NamespaceHost, to: NamespaceHost): Promise<void> {
    const entry = ["neighbour", "replace", to.address, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"];
    await run("ip", ["-n", from.namespace, ...entry]);
  }

  /** The two hear nothing of each other from now on. */
  async cutPair(one: NamespaceHost, other: NamespaceHost): Promise<void> {
    await this.cutOneWay(one, other);
    await this.cutOneWay(other, one);
  }

  /** Undoes every cut. */
  async healAll(): Promise<void> {
    for (const host of this.hosts) {
      await this.#switchPort(host, "up");
      // Learned entries go too, and are learned again.
      for (const state of ["permanent", "all"])
        await run("ip", ["-n", host.namespace, "neighbour", "flush", "dev", "eth0", "nud", state]);
    }
  }

  /** Takes everything away; the processes inside must have ended. */
  async remove(): Promise<void> {
    for (const name of [...this.hosts.map(({ namespace }) => namespace), this.#bridge])
      await run("ip", ["netns", "delete", name]).catch(() => undefined);
  }

  async #build(): Promise<void> {
    await run("ip", ["netns", "add", this.#bridge]);
    const inBridge = (...words: string[]): Promise<unknown> => run("ip", ["-n", this.#bridge, ...words]);
    await inBridge("link", "add", "switch", "type", "bridge");
    await inBridge("link", "set", "switch", "up");
    for (const [index, { namespace, address }] of this.hosts.entries()) {
      const port = this.#ports[index] as string;
      await run("ip", ["netns", "add", namespace]);
      await inBridge("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace);
      await inBridge("link", "set", port, "master", "switch", "up");
      await run("ip", ["-n", namespace, "address", "add", `${address}/24`, "dev", "eth0"]);
      await run("ip", ["-n", namespace, "link", "set", "eth0", "up"]);
      await run("ip", ["-n", namespace, "link", "set", "lo", "up"]);
    }
  }

  async #switchPort(host: NamespaceHost, state: "up" | "down"): Promise<void> {
    const port = this.#ports[this.hosts.indexOf(host)];
    if (port === undefined) throw new RangeError(`${host.namespace} belongs to another network`);
    await run("ip", ["-n", this.#bridge, "link", "set", port, state]);
  }
}
