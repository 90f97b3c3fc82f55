/*
 * Three members in processes of their own, one of which serves; whoever fails is replaced before the next fault.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Order } from "./member-process.ts";

/** How long a member may take to answer before the measurement is given up. */
const PATIENCE_MS = 60_000;

/** Where a member runs and what it opens. */
export interface Place {
  readonly url: string;
  readonly listen: string;
  /** Words in front of its command. */
  readonly prefix: readonly string[];
}

/** One member. */
export class MemberProcess {
  readonly place: Place;
  readonly #child: ChildProcess;
  readonly #endedEarly: Promise<never>;
  #isEndOrdered = false;
  /** In hexadecimal. */
  #rid = "";

  private constructor(place: Place, child: ChildProcess) {
    this.place = place;
    this.#child = child;
    this.#endedEarly = once(child, "exit").then(([code, signal]) => {
      throw new Error(`a measured member ended early: ${signal ?? code}`);
    });
    // Most end when nobody asks them anything.
    this.#endedEarly.catch(() => undefined);
  }

  /** Starts a member and resolves when it has joined. */
  static async start(place: Place): Promise<MemberProcess> {
    const path = fileURLToPath(new URL("../../dist/failover/member-process.js", import.meta.url));
    const [command, ...words] = [...place.prefix, process.execPath, path, place.url, place.listen];
    const child = spawn(command, words, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const member = new MemberProcess(place, child);
    try {
      member.#rid = await member.#nextLine();
      return member;
    } catch (error) {
      await member.end();
      throw error;
    }
  }

  /** Which member it is, in hexadecimal. */
  get rid(): string {
    return this.#rid;
  }

  /** True if the process ended and nobody had told it to. */
  get hasEndedItself(): boolean {
    const { exitCode, signalCode } = this.#child;
    return !this.#isEndOrdered && (exitCode !== null || signalCode !== null);
  }

  /** Gives an order and resolves with its answer. */
  async ask<T>(order: Order): Promise<T> {
    if (order.kind === "close") this.#isEndOrdered = true;
    const answer = this.#nextLine();
    this.#child.send(JSON.stringify(order));
    // Both ends are this package's.
    return JSON.parse(await answer) as T;
  }

  /** Sends a signal. */
  signal(name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    // One that ended before this was sent did so by itself.
    if (name === "SIGKILL" && !this.hasEndedItself) this.#isEndOrdered = true;
    this.#child.kill(name);
  }

  /** Ends the process, whatever it does, and resolves when it has. */
  async end(): Promise<void> {
    this.signal("SIGCONT");
    this.signal("SIGKILL");
    await this.gone();
  }

  /** Resolves when the process has ended. */
  async gone(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) await once(this.#child, "exit");
  }

  async #nextLine(): Promise<string> {
    const answer = once(this.#child, "message", { signal: AbortSignal.timeout(PATIENCE_MS) });
    // One that ended early says nothing any more.
    answer.catch(() => undefined);
    const [line] = await Promise.race([answer, this.#endedEarly]);
    return String(line);
  }
}

/** What a member says of itself. */
interface Report {
  readonly isServing: boolean;
  readonly isConnected: boolean;
  /** Members of the volume, those included that are dead and not evicted yet. */
  readonly memberCount: number;
}

/** The members. */
export class Cluster {
  #members: readonly MemberProcess[];
  #endedCount = 0;

  private constructor(members: readonly MemberProcess[]) {
    this.#members = members;
  }

  /** Starts a member at each place, one after the other: the first one serves first. */
  static async start(places: readonly Place[]): Promise<Cluster> {
    const members: MemberProcess[] = [];
    try {
      for (const place of places) members.push(await MemberProcess.start(place));
      return new Cluster(members);
    } catch (error) {
      await Promise.all(members.map((member) => member.end()));
      throw error;
    }
  }

  /**
   * The member that serves, and the others, all of them connected. Waits until whoever was killed before them is evicted: a server
   * that fails beside a member that is silent already is another fault.
   */
  async roles(): Promise<{ readonly server: MemberProcess; readonly others: readonly MemberProcess[] }> {
    for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += 20) {
      const reports = await Promise.all(
        this.#members.map((member) => member.ask<Report>({ kind: "report" })),
      );
      const isWhole = reports.every(
        ({ isConnected, memberCount }) => isConnected && memberCount === reports.length,
      );
      const serving = this.#members.filter((_, index) => reports[index]?.isServing);
      const [server] = serving;
      if (server !== undefined && serving.length === 1 && isWhole)
        return { server, others: this.#members.filter((member) => member !== server) };
      await sleep(20);
    }
    throw new Error("the members do not agree on a server");
  }

  /** Members that ended by themselves: none should, whatever happens to its server, its network or its disk. */
  get endedCount(): number {
    return this.#endedCount + this.#members.filter(({ hasEndedItself }) => hasEndedItself).length;
  }

  /** Ends a member and starts another one in its place, which has it evicted and its blocks freed. */
  async replace(old: MemberProcess): Promise<void> {
    if (old.hasEndedItself) this.#endedCount += 1;
    await old.end();
    const fresh = await MemberProcess.start(old.place);
    this.#members = this.#members.map((member) => (member === old ? fresh : member));
    await fresh.ask({ kind: "fence", rid: old.rid });
  }

  /** Ends all of them. */
  async end(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.end()));
  }
}
