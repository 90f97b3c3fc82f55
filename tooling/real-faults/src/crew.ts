/*
 * Members in processes of their own, and the ledger of what they were told.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Ledger } from "./ledger.ts";
import { type Answer, COUNT_KEY, type MemberNews, type Order } from "./member-protocol.ts";
import { PATIENCE_MS, until } from "./until.ts";

/** How an operation may fail when something happens to its member, its server or its disk. */
const OPERATING_ERROR = /^ERR_HOLDFAST_(?!.*(?:CORRUPT|CHECKSUM|TORN|OPERATION_REFUSED))/;

/** How a membership may end by itself: evicted, or by its own disk. */
const EXPECTED_END = /^ERR_HOLDFAST_EVICTED|ERR_HOLDFAST_DEVICE_/;

/** Where a member runs and what it opens. */
export interface Place {
  /** The volume as it sees it. */
  readonly url: string;
  /** Where it listens; empty: it never serves. */
  readonly listen: string;
  /** Words in front of its command. */
  readonly prefix: readonly string[];
}

/** The program of a member. */
const PROGRAM = fileURLToPath(new URL("../dist/member-process.js", import.meta.url));

/** A place on this host. */
export function placeOnLoopback(url: string): Place {
  return { url, listen: "tcp://127.0.0.1:0", prefix: [] };
}

/** One member. */
export class CrewMember {
  readonly name: string;
  readonly place: Place;
  readonly #child: ChildProcess;
  readonly #ledger: Ledger;
  readonly #waiting: Map<number, { resolve(answer: Answer): void; reject(error: Error): void }> = new Map();
  readonly #failures: Set<string> = new Set();
  #rid: string | undefined;
  #lostCode: string | undefined;
  #orders = 0;
  #isEndExpected = false;

  constructor(name: string, place: Place, ledger: Ledger) {
    this.name = name;
    this.place = place;
    this.#ledger = ledger;
    const words = [...place.prefix, process.execPath, PROGRAM, place.url, place.listen, name];
    const [command = "", ...rest] = words;
    this.#child = spawn(command, rest, { stdio: ["pipe", "inherit", "inherit", "ipc"] });
    // It may be gone when it is let go on.
    this.#child.stdin?.on("error", () => {});
    // What it says is of its protocol: both ends are this package's.
    this.#child.on("message", (message) => this.#hear(message as MemberNews));
    this.#child.on("exit", () => {
      for (const waiting of this.#waiting.values()) waiting.reject(new Error(`${name} has ended`));
      this.#waiting.clear();
    });
  }

  /** Hexadecimal; empty before it has joined. */
  get rid(): string {
    return this.#rid ?? "";
  }

  /** Why its membership ended by itself, if it said so. */
  get lostCode(): string | undefined {
    return this.#lostCode;
  }

  /** True while its process is there. */
  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What happened to it that no fault explains: an end that nobody ordered, an error that is none of ours. */
  get surprises(): readonly string[] {
    const isLostStrangely = this.#lostCode !== undefined && !EXPECTED_END.test(this.#lostCode);
    const codes = [...this.#failures].filter((code) => !OPERATING_ERROR.test(code));
    if (isLostStrangely) codes.push(`lost: ${this.#lostCode}`);
    const strange = codes.map((code) => `${this.name}: ${code}`);
    const { exitCode, signalCode } = this.#child;
    const isStrangeEnd =
      !this.isAlive && !(this.#isEndExpected && (exitCode === 0 || signalCode === "SIGKILL"));
    return isStrangeEnd ? [...strange, `${this.name} ended: ${signalCode ?? exitCode}`] : strange;
  }

  /** Resolves when it is a member. */
  async joined(): Promise<void> {
    await until(`${this.name} joins`, () => {
      if (!this.isAlive) throw new Error(`${this.name} ended before it joined`);
      return this.#rid;
    });
  }

  /** True once it is a member. */
  get isJoined(): boolean {
    return this.#rid !== undefined;
  }

  /** Gives an order. @throws Error with the code of what went wrong. */
  async ask(order: Order, patienceMs: number = PATIENCE_MS): Promise<Answer> {
    this.#orders += 1;
    const id = this.#orders;
    if (!this.isAlive) throw new Error(`${this.name} has ended`);
    if (order.kind === "close") this.#isEndExpected = true;
    const answer = new Promise<Answer>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    // One that was killed a moment ago cannot be told: its end, or else patience, answers.
    this.#child.send({ id, order }, () => undefined);
    const timer = setTimeout(() => {
      this.#waiting.get(id)?.reject(new Error(`${this.name} does not ${order.kind} within ${patienceMs} ms`));
    }, patienceMs);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Lets it stand still, whatever it does, until {@link resume}. */
  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Blocks its event loop, until {@link unblock}; resolves then, with what it saw of that. */
  async block(): Promise<NonNullable<Answer["blocked"]>> {
    const { blocked } = await this.ask({ kind: "block" });
    if (blocked === undefined) throw new Error(`${this.name} says nothing of its block`);
    return blocked;
  }

  unblock(): void {
    this.#child.stdin?.write("\n");
  }

  /** Ends it without a chance to say anything; resolves when it has ended. */
  async kill(): Promise<void> {
    this.#isEndExpected = true;
    this.#child.kill("SIGKILL");
    if (this.isAlive) await once(this.#child, "exit");
  }

  /** Says farewell, and resolves when the process has ended. */
  async close(): Promise<void> {
    await this.ask({ kind: "close" });
    if (this.isAlive) await once(this.#child, "exit");
  }

  /** True if a write to a key that begins so began after `sinceMs` and was acknowledged. */
  hasWrittenSince(sinceMs: number, keyPrefix: string): boolean {
    return this.#ledger.hasSince(`${this.name}#`, keyPrefix, sinceMs);
  }

  #hear(news: MemberNews): void {
    switch (news.type) {
      case "ready":
        this.#rid = news.rid;
        return;
      case "answer":
        this.#waiting.get(news.id)?.resolve(news.answer);
        return;
      case "refusal":
        this.#waiting.get(news.id)?.reject(new Error(news.code));
        return;
      case "began":
        this.#ledger.began(news.id, news.kind, news.key, news.atMs);
        return;
      case "ended":
        this.#ledger.ended(news.id, news.value, news.atMs);
        return;
      case "failed":
        this.#failures.add(news.code);
        return;
      case "lost":
        this.#lostCode = news.code;
        return;
    }
  }
}

/** All members of one volume. */
export class Crew {
  readonly ledger: Ledger = new Ledger();
  #everybody: readonly CrewMember[] = [];
  #surprises: readonly string[] = [];
  #startedCount = 0;

  /** Starts a member at each place, all at once, and resolves when they have joined. */
  static async start(places: readonly Place[]): Promise<Crew> {
    const crew = new Crew();
    try {
      await Promise.all(places.map((place) => crew.add(place).joined()));
      return crew;
    } catch (error) {
      await crew.end();
      throw error;
    }
  }

  /** Those whose processes are there. */
  get members(): readonly CrewMember[] {
    return this.#everybody.filter(({ isAlive }) => isAlive);
  }

  /** Starts one more, which has not joined yet. */
  add(place: Place): CrewMember {
    const member = new CrewMember(`m${this.#startedCount}`, place, this.ledger);
    this.#startedCount += 1;
    this.#everybody = [...this.#everybody, member];
    return member;
  }

  /** The one of `among` that serves them all. */
  async server(among: readonly CrewMember[] = this.members): Promise<CrewMember> {
    return until("one member serves, the others are connected", async () => {
      for (const { name, lostCode } of among)
        if (lostCode !== undefined) throw new Error(`${name} is lost: ${lostCode}`);
      const reports = await Promise.all(among.map((member) => member.ask({ kind: "report" })));
      const serving = among.filter((_, index) => reports[index]?.isServing);
      const isWhole = reports.every(({ isConnected }) => isConnected);
      return serving.length === 1 && isWhole ? serving[0] : undefined;
    });
  }

  /** Members read and write from now on; resolves when each has written. */
  async load(members: readonly CrewMember[] = this.members): Promise<void> {
    const sinceMs = sharedNow();
    await Promise.all(members.map((member) => member.ask({ kind: "load" })));
    await this.goOn(members, sinceMs);
  }

  /** Resolves when each, being under load, has written under a cached lock and under one that all share. */
  async goOn(members: readonly CrewMember[], sinceMs: number = sharedNow()): Promise<void> {
    for (const member of members) {
      await until(`${member.name} goes on`, () => {
        if (member.lostCode !== undefined) throw new Error(`${member.name} is lost: ${member.lostCode}`);
        const isOwn = member.hasWrittenSince(sinceMs, `${member.name}/`);
        return isOwn && member.hasWrittenSince(sinceMs, COUNT_KEY);
      });
    }
  }

  /** Resolves when the server has evicted, or said farewell to, `gone`; `witness` asks it. */
  async untilNotMember(gone: CrewMember, witness: CrewMember): Promise<void> {
    await until(`${gone.name} is evicted`, async () => {
      const { members = [] } = await witness.ask({ kind: "members" });
      return !members.includes(gone.rid);
    });
  }

  /**
   * Lets members rest, reads everything through one of them, and judges.
   *
   * @param olderKeys - Keys that nobody has written since {@link forget} to be read besides, in turn; all by default.
   * @returns Sentences about what is wrong: what was lost, is stale, or nobody foresaw. Empty if all is well.
   */
  async verdict(
    reader?: CrewMember,
    olderKeys: number = Number.POSITIVE_INFINITY,
  ): Promise<readonly string[]> {
    const healthy = this.members.filter(({ lostCode, isJoined }) => lostCode === undefined && isJoined);
    await Promise.all(healthy.map((member) => member.ask({ kind: "rest" })));
    const through = reader ?? healthy.at(-1);
    if (through === undefined) throw new Error("nobody is left to read");
    for (const key of this.ledger.keysToRead(olderKeys)) await through.ask({ kind: "read", key });
    const surprises = this.#everybody.flatMap((member) => member.surprises);
    return [...this.ledger.contradictions(), ...surprises, ...this.#surprises];
  }

  /** Forgets what a verdict has judged, and who has ended. */
  forget(): void {
    this.ledger.forget();
    this.#surprises = this.#everybody.filter(({ isAlive }) => !isAlive).flatMap(({ surprises }) => surprises);
    this.#everybody = this.members;
  }

  /** Ends all of them. */
  async end(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
  }
}

/** The time of the members' news. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
