/*
 * Three nodes of etcd at their default settings: the peer of the fail-over rows.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** How long a node, or a leader, may take to appear. */
const PATIENCE_MS = 30_000;

/** A put is started this often on each survivor until one is acknowledged. */
const ATTEMPT_MS = 10;

interface Node {
  readonly name: string;
  readonly clientUrl: string;
  readonly words: readonly string[];
  process: ChildProcess;
}

/** True if the program is installed. */
export function hasEtcd(): boolean {
  return spawnSync("etcd", ["--version"]).status === 0;
}

/** A running cluster. */
export class EtcdCluster {
  readonly #nodes: readonly Node[];

  private constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
  }

  /** Starts three nodes whose data stands in `directory`. */
  static async start(directory: string): Promise<EtcdCluster> {
    const names = ["one", "two", "three"];
    const urls = await Promise.all(names.map(async () => [await freeUrl(), await freeUrl()] as const));
    const cluster = names.map((name, index) => `${name}=${urls[index]?.[1]}`).join(",");
    const nodes: Node[] = [];
    for (const [index, name] of names.entries()) {
      const [clientUrl, peerUrl] = urls[index] ?? ["", ""];
      const data = join(directory, name);
      await rm(data, { recursive: true, force: true });
      await mkdir(data, { mode: 0o700 });
      const words = [
        "--name",
        name,
        "--data-dir",
        data,
        "--listen-client-urls",
        clientUrl,
        "--advertise-client-urls",
        clientUrl,
        "--listen-peer-urls",
        peerUrl,
        "--initial-advertise-peer-urls",
        peerUrl,
        "--initial-cluster",
        cluster,
        "--initial-cluster-state",
        "new",
      ];
      nodes.push({ name, clientUrl, words, process: spawnNode(words) });
    }
    const started = new EtcdCluster(nodes);
    try {
      await started.#untilReady();
      return started;
    } catch (error) {
      await started.stop();
      throw error;
    }
  }

  /** Kills the leader and resolves with the milliseconds until a put is acknowledged; the node is back afterwards. */
  async killLeader(): Promise<number> {
    await this.#untilReady();
    const leader = await this.#leader();
    const survivors = this.#nodes.filter((node) => node !== leader);
    const killedMs = performance.now();
    leader.process.kill("SIGKILL");
    const waitMs = await nextPut(survivors, killedMs);
    await gone(leader.process);
    leader.process = spawnNode(leader.words);
    await this.#untilReady();
    return waitMs;
  }

  /** Ends the nodes. */
  async stop(): Promise<void> {
    for (const node of this.#nodes) node.process.kill("SIGKILL");
    await Promise.all(this.#nodes.map((node) => gone(node.process)));
  }

  async #leader(): Promise<Node> {
    for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += 100) {
      for (const node of this.#nodes) {
        const status = await post(node, "maintenance/status", {}).catch(() => undefined);
        const { leader, header } = (status ?? {}) as { leader?: string; header?: { member_id?: string } };
        if (leader !== undefined && leader === header?.member_id) return node;
      }
      await sleep(100);
    }
    throw new Error("etcd has no leader");
  }

  /** Resolves when each node takes a put, so that all three take part in what comes. */
  async #untilReady(): Promise<void> {
    for (const node of this.#nodes) {
      for (let waitedMs = 0; ; waitedMs += 100) {
        const answer = await post(node, "kv/put", PUT).catch(() => undefined);
        if (answer !== undefined) break;
        if (waitedMs > PATIENCE_MS) throw new Error(`etcd node ${node.name} does not start`);
        await sleep(100);
      }
    }
  }
}

const PUT = { key: btoa("bench"), value: btoa("value") };

/** Starts a put on every survivor again and again, without waiting for those before: the first answer counts. */
async function nextPut(survivors: readonly Node[], sinceMs: number): Promise<number> {
  const cancel = new AbortController();
  const acknowledged: number[] = [];
  while (acknowledged.length === 0) {
    for (const node of survivors) {
      void post(node, "kv/put", PUT, cancel.signal).then(
        () => acknowledged.push(performance.now() - sinceMs),
        // The next attempt tells.
        () => undefined,
      );
    }
    await sleep(ATTEMPT_MS);
  }
  cancel.abort();
  return Math.min(...acknowledged);
}

async function post(node: Node, path: string, body: object, signal?: AbortSignal): Promise<unknown> {
  const response = await fetch(`${node.clientUrl}/v3/${path}`, {
    method: "POST",
    body: JSON.stringify(body),
    signal: signal ?? AbortSignal.timeout(5000),
  });
  if (!response.ok) throw new Error(`etcd answers ${response.status}`);
  return await response.json();
}

function spawnNode(words: readonly string[]): ChildProcess {
  return spawn("etcd", [...words], { stdio: "ignore" });
}

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** An address of this host that nobody listens on. */
async function freeUrl(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return `http://127.0.0.1:${address.port}`;
}
