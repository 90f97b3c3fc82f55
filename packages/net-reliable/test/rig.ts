/*
 * Two machines over a duplex that lives in memory: bytes wait in each direction until a test delivers them.
 */
import { createHmac } from "node:crypto";
import { utf8 } from "@holdfast/environment";
import {
  ClientMachine,
  type ClientMachineConfig,
  DEFAULT_SESSION_TIMING,
  type Respond,
  type ServerConnection,
  ServerMachine,
  type ServerMachineConfig,
} from "../src/index.ts";

export const cryptography = {
  hmacSha256: (key: Uint8Array, message: Uint8Array): Uint8Array =>
    createHmac("sha256", key).update(message).digest(),
};
export const identity = { fsid: 7n, formatHash: 9n, key: new Uint8Array(32).fill(1) };
export const timing = DEFAULT_SESSION_TIMING;

let nonceNumber = 0;
export function nonce(): Uint8Array {
  nonceNumber += 1;
  return new Uint8Array(32).fill(nonceNumber % 256, 0, 16).fill((nonceNumber >> 8) % 256, 16);
}

export function text(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

export function bytesOf(text: string): Uint8Array {
  return utf8.encode(text);
}

export interface Asked {
  readonly rid: bigint;
  readonly command: number;
  readonly body: string;
  readonly respond: Respond;
  readonly id: number;
}

/** A server that keeps what it is told; `isEcho`: answers at once with what it was asked. */
export class Server {
  readonly machine: ServerMachine;
  readonly asked: Asked[] = [];
  readonly log: string[] = [];
  readonly links: Map<ServerConnection, Link> = new Map();
  admission = 0;
  isEcho = true;
  outputEarly: () => void = () => {};
  /** Answers at once, if it has an answer; else `isEcho` counts. */
  answer: ((id: number, body: string) => string | undefined) | undefined = undefined;

  constructor(term: bigint, config: Partial<ServerMachineConfig> = {}) {
    this.machine = new ServerMachine(
      { identity, term, timing, cryptography, ...config },
      {
        admit: () => this.admission,
        request: (rid, command, body, respond, id) => {
          this.asked.push({ rid, command, body: text(body), respond, id });
          const answer = this.answer?.(id, text(body));
          if (answer !== undefined) respond(0, bytesOf(answer));
          else if (this.isEcho) respond(0, body);
        },
        up: (rid) => this.log.push(`up ${rid}`),
        down: (rid) => this.log.push(`down ${rid}`),
        expired: (rid) => this.log.push(`expired ${rid}`),
        refused: (rid, code) => this.log.push(`refused ${rid} 0x${code.toString(16)}`),
        output: () => {},
        outputEarly: () => this.outputEarly(),
        end: (connection, reason) => {
          this.log.push(`end ${reason}`);
          this.links.get(connection)?.serverEnded(reason === "forgotten");
        },
      },
    );
  }

  get bodies(): string[] {
    return this.asked.map(({ body }) => body);
  }
}

/** A client that keeps what it is told and introduces itself at once unless told otherwise. */
export class Client {
  readonly machine: ClientMachine;
  readonly asked: Asked[] = [];
  readonly log: string[] = [];
  readonly answers: string[] = [];
  isIntroducing = true;
  isEcho = true;
  outputEarly: () => void = () => {};

  constructor(rid: bigint, config: Partial<ClientMachineConfig> = {}) {
    this.machine = new ClientMachine(
      { identity, rid, isVoter: false, timing, cryptography, ...config },
      {
        request: (command, body, respond, id) => {
          this.asked.push({ rid, command, body: text(body), respond, id });
          if (this.isEcho) respond(0, body);
        },
        output: () => {},
        outputEarly: () => this.outputEarly(),
        greeted: ({ term, isNew, needsIntroduction }) => {
          this.log.push(`greeted ${term}${isNew ? " new" : ""}`);
          if (needsIntroduction && this.isIntroducing) this.machine.introduced(term);
        },
        refused: (code, isProven) =>
          this.log.push(`refused 0x${code.toString(16)}${isProven ? "" : " unproven"}`),
      },
    );
  }

  /** Calls and notes the answer as `body→error answer`. */
  ask(body: string, command = 1): (() => void) | undefined {
    return this.machine.call(command, bytesOf(body), (error, answer) =>
      this.answers.push(`${body}→${error} ${text(answer)}`),
    );
  }
}

/** One connection; bytes wait in it. */
export class Link {
  readonly client: Client;
  readonly server: Server;
  readonly connection: ServerConnection;
  toServer: Uint8Array = new Uint8Array(0);
  toClient: Uint8Array = new Uint8Array(0);
  isCut = false;

  constructor(client: Client, server: Server, now = 0) {
    this.client = client;
    this.server = server;
    client.machine.begin(nonce(), now);
    this.connection = server.machine.accept(nonce(), now);
    server.links.set(this.connection, this);
    this.collect();
  }

  /** True while this is the client's newest link. */
  isCurrent = true;

  /** Takes what the machines want to send. */
  collect(now = 0): void {
    if (!this.isCut) this.connection.drain((bytes) => this.#queue("toClient", bytes), now);
    if (this.isCurrent && !this.isCut)
      this.client.machine.drain((bytes) => this.#queue("toServer", bytes), now);
  }

  /** Delivers the next `count` bytes to the server. */
  feedServer(count: number = this.toServer.length, now = 0): void {
    const bytes = this.toServer.slice(0, count);
    this.toServer = this.toServer.slice(count);
    this.connection.receive(bytes, now);
    this.collect(now);
  }

  /** Delivers the next `count` bytes to the client; a link it has left delivers nothing. */
  feedClient(count: number = this.toClient.length, now = 0): void {
    const bytes = this.toClient.slice(0, count);
    this.toClient = this.toClient.slice(count);
    if (this.isCurrent) this.client.machine.receive(bytes, now);
    this.collect(now);
  }

  /** Delivers everything until nothing is left to say. */
  pump(now = 0): this {
    this.collect(now);
    while (!this.isCut && this.toServer.length + this.toClient.length > 0) {
      this.feedServer(this.toServer.length, now);
      this.feedClient(this.toClient.length, now);
    }
    return this;
  }

  /** Both sides say that they live, and so what they have received. */
  beat(): void {
    if (this.isCurrent && this.client.machine.isOpen)
      this.#queue("toServer", this.client.machine.session.heartbeat());
    if (!this.isCut) this.#queue("toClient", this.connection.heartbeat());
    this.pump();
  }

  /** The connection breaks; what is under way is lost, and both sides are told. */
  cut(now = 0): void {
    this.leave();
    this.isCut = true;
    this.server.machine.ended(this.connection, now);
  }

  /** The client gives the connection up; the server does not know yet, and bytes are still under way. */
  leave(): void {
    if (this.isCurrent) this.client.machine.end();
    this.isCurrent = false;
  }

  serverEnded(isFlushed: boolean): void {
    if (isFlushed) this.collect();
    else this.isCut = true;
  }

  #queue(direction: "toServer" | "toClient", bytes: Uint8Array): boolean {
    const joined = new Uint8Array(this[direction].length + bytes.length);
    joined.set(this[direction]);
    joined.set(bytes, this[direction].length);
    this[direction] = joined;
    return true;
  }
}
