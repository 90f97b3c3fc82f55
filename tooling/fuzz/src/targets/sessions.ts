/*
 * Bytes of a stranger, or of a member that lost its mind, at both ends of a session. Whatever comes: the connection is cut or goes
 * on, no request or answer takes effect that did not stand intact in the honest bytes, and another member's session
 * does not notice.
 */
import { createHmac } from "node:crypto";
import { type Cryptography, utf8 } from "@holdfast/environment";
import {
  ClientMachine,
  DEFAULT_SESSION_TIMING,
  GREETING_FRAME_BYTES,
  type ServerConnection,
  ServerMachine,
  type SessionIdentity,
} from "@holdfast/net-reliable";
import {
  BATCH_FRAMES_BYTES_MAX,
  BATCH_HEADER_BYTES,
  encodeFrame,
  FrameParser,
  frameSpace,
  writeBatchHeader,
} from "@holdfast/wire-format";
import { FindingError, type FuzzTarget, type Verdict, verdictOf } from "../target.ts";
import { chunksOf, concatenated, garbage } from "./pieces.ts";

const IDENTITY: SessionIdentity = { fsid: 7n, formatHash: 9n, key: new Uint8Array(32).fill(1) };
const CRYPTOGRAPHY: Cryptography = {
  hmacSha256: (key, message) => createHmac("sha256", key).update(message).digest(),
};
const SERVER_NONCE: Uint8Array = new Uint8Array(32).fill(2);
const CLIENT_NONCE: Uint8Array = new Uint8Array(32).fill(3);
const TIMING = DEFAULT_SESSION_TIMING;
const BYSTANDER = 5n;
const ATTACKER = 6n;
const COMMAND = 1;
const REQUESTS: readonly string[] = ["lock", "a longer request ".repeat(12), "", "renew", "x".repeat(3000)];

/** The targets of this file. */
export function sessionTargets(): readonly FuzzTarget[] {
  const { toServer, toClient } = honestConversation();
  return [
    atServer("a member's bytes at a server", [toServer]),
    atServer("a stranger's bytes at a server", [toClient, garbage(), toServer.subarray(0, 200)]),
    lyingMember(toServer),
    atClient([toClient]),
    frames(),
  ];
}

/** Every byte that one session sends in both directions. */
function honestConversation(): { readonly toServer: Uint8Array; readonly toClient: Uint8Array } {
  const wire = new Wire(new TestServer(), ATTACKER);
  for (const request of REQUESTS) wire.ask(request);
  wire.pump();
  return { toServer: concatenated(wire.toServer), toClient: concatenated(wire.toClient) };
}

function atServer(name: string, seeds: readonly Uint8Array[]): FuzzTarget {
  const server = new TestServer();
  const bystander = new Wire(server, BYSTANDER);
  bystander.pump();
  return {
    name,
    weight: 8,
    seeds,
    isFixedLength: false,
    feed: (input, entropy) => {
      const verdict = server.attack(input, entropy);
      bystander.ask("still there?");
      bystander.pump();
      if (bystander.takeAnswers() !== 1) throw new FindingError("another member's session was disturbed");
      return verdict;
    },
  };
}

/** A member that knows the key and seals what it likes: nothing it says may hurt anybody but itself. */
function lyingMember(toServer: Uint8Array): FuzzTarget {
  const server = new TestServer();
  const bystander = new Wire(server, BYSTANDER);
  const greeting = toServer.slice(0, GREETING_FRAME_BYTES);
  const said = toServer.slice(GREETING_FRAME_BYTES + BATCH_HEADER_BYTES);
  return {
    name: "a lying member's frames at a server",
    weight: 8,
    seeds: [said],
    isFixedLength: false,
    feed: (input, entropy) => {
      const frames = frameSpace(input.slice(0, BATCH_FRAMES_BYTES_MAX));
      const header = frameSpace(new Uint8Array(BATCH_HEADER_BYTES));
      const numbers = { seq: entropy % 3, recvSeq: (entropy >>> 8) % 5 === 0 ? entropy : 0 };
      writeBatchHeader(header, 0, numbers, { frames, start: 0, end: frames.bytes.length });
      const verdict = server.receive(concatenated([greeting, header.bytes, frames.bytes]), entropy);
      bystander.ask("still there?");
      bystander.pump();
      if (bystander.takeAnswers() !== 1) throw new FindingError("another member's session was disturbed");
      return verdict;
    },
  };
}

/** A member that meets a server which lost its mind. */
function atClient(seeds: readonly Uint8Array[]): FuzzTarget {
  return {
    name: "a server's bytes at a member",
    weight: 8,
    seeds,
    isFixedLength: false,
    feed: (input, entropy) => {
      const answers: string[] = [];
      let isRefused = false;
      const client = makeClient(ATTACKER, () => {
        isRefused = true;
      });
      client.begin(CLIENT_NONCE, 0);
      for (const request of REQUESTS)
        client.call(COMMAND, utf8.encode(request), (_, body) => answers.push(textOf(body)));
      const verdict = verdictOf(() => {
        for (const chunk of chunksOf(input, entropy)) {
          client.receive(chunk, 0);
          client.drain(() => true, 0);
        }
      });
      client.session.close();
      checkPrefix(
        answers.filter((answer) => answer !== ""),
        REQUESTS.filter((request) => request !== ""),
      );
      return isRefused ? "refused" : verdict;
    },
  };
}

/** The parser alone, with more kinds of frames than a session sends. */
function frames(): FuzzTarget {
  const bodies = REQUESTS.map((request) => utf8.encode(request));
  const seed = concatenated(
    bodies.map((body, index) =>
      encodeFrame(
        { seq: index + 1, recvSeq: index, id: index + 1, command: index, error: 0, flags: index % 2 },
        body,
      ),
    ),
  );
  return {
    name: "frames",
    weight: 30,
    seeds: [seed],
    isFixedLength: false,
    feed: (input, entropy) => {
      const parser = new FrameParser();
      const found: string[] = [];
      const verdict = verdictOf(() => {
        for (const chunk of chunksOf(input, entropy)) {
          parser.push(chunk, ({ body }) => {
            found.push(textOf(body));
            return true;
          });
        }
      });
      for (const body of found)
        if (!REQUESTS.includes(body)) throw new FindingError("a frame was found that nobody sent");
      return verdict;
    },
  };
}

/** A server, and who may talk to it. */
class TestServer {
  readonly machine: ServerMachine;
  /** What the attacker's requests said since the attack began. */
  #attackerAsked: string[] = [];

  constructor() {
    this.machine = new ServerMachine(
      { identity: IDENTITY, term: 3n, timing: TIMING, cryptography: CRYPTOGRAPHY },
      {
        admit: () => 0,
        request: (rid, _command, body, respond) => {
          if (rid === ATTACKER) this.#attackerAsked.push(textOf(body));
          respond(0, body);
        },
        up: () => {},
        down: () => {},
        expired: () => {},
        refused: () => {},
        output: () => {},
        outputEarly: () => {},
        end: () => {},
      },
    );
  }

  /** A connection sends damaged bytes and goes away: what was said intact may have been done, nothing else. */
  attack(input: Uint8Array, entropy: number): Verdict {
    const verdict = this.receive(input, entropy);
    checkPrefix(this.#attackerAsked, REQUESTS);
    return verdict;
  }

  /** A connection sends whatever it likes and goes away. */
  receive(input: Uint8Array, entropy: number): Verdict {
    this.#attackerAsked = [];
    const connection = this.machine.accept(SERVER_NONCE, 0);
    const verdict = verdictOf(() => {
      for (const chunk of chunksOf(input, entropy)) {
        connection.receive(chunk, 0);
        connection.drain(() => true, 0);
      }
    });
    const isLetIn = connection.isOpen;
    this.machine.ended(connection, 0);
    this.machine.forget(ATTACKER);
    if (this.machine.greetingCount !== 0 || this.machine.sessionsCount !== 1)
      throw new FindingError("an attack leaves a connection or a session behind");
    return isLetIn ? verdict : "refused";
  }
}

/** An honest member and its connection to a server, moved by hand. */
class Wire {
  readonly #client: ClientMachine;
  readonly #connection: ServerConnection;
  readonly toServer: Uint8Array[] = [];
  readonly toClient: Uint8Array[] = [];
  #answersCount = 0;

  constructor({ machine }: TestServer, rid: bigint) {
    this.#client = makeClient(rid, (code) => {
      throw new FindingError(`an honest member is refused: ${code}`);
    });
    this.#client.begin(CLIENT_NONCE, 0);
    this.#connection = machine.accept(SERVER_NONCE, 0);
    this.pump();
  }

  ask(body: string): void {
    this.#client.call(COMMAND, utf8.encode(body), (error) => {
      if (error === 0) this.#answersCount += 1;
    });
  }

  /** Answers since the last time. */
  takeAnswers(): number {
    const count = this.#answersCount;
    this.#answersCount = 0;
    return count;
  }

  /** Carries bytes until there are none. */
  pump(): void {
    for (let isMoving = true; isMoving;) {
      isMoving = false;
      this.#connection.drain((bytes) => {
        isMoving = true;
        this.toClient.push(bytes.slice());
        this.#client.receive(bytes.slice(), 0);
        return true;
      }, 0);
      this.#client.drain((bytes) => {
        isMoving = true;
        this.toServer.push(bytes.slice());
        this.#connection.receive(bytes.slice(), 0);
        return true;
      }, 0);
    }
    if (this.toServer.length > 100) {
      this.toServer.length = 0;
      this.toClient.length = 0;
    }
  }
}

function makeClient(rid: bigint, refused: (code: number) => void): ClientMachine {
  const client: ClientMachine = new ClientMachine(
    { identity: IDENTITY, rid, isVoter: false, timing: TIMING, cryptography: CRYPTOGRAPHY },
    {
      request: (_command, body, respond) => respond(0, body),
      output: () => {},
      outputEarly: () => {},
      greeted: ({ term, needsIntroduction }) => {
        if (needsIntroduction) client.introduced(term);
      },
      refused,
    },
  );
  return client;
}

/** What took effect is what was said, in its order, up to the damage. */
function checkPrefix(seen: readonly string[], said: readonly string[]): void {
  if (seen.some((body, index) => body !== said[index]))
    throw new FindingError("something took effect that nobody said");
}

/** Bytes as text, whatever they are. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
