/*
 * Scenario 59 (docs/protocols/scenarios.md): a server, and a member, under all the load at once that careless and hostile peers can
 * bring. What they hold stays below the bound of docs/protocols/sessions.md#memory, which the limits make, and is given back.
 *
 * Memory is measured after collecting garbage, against what a part of the load left behind in a first world: code, pools, and
 * the memory that all streams share, which stay for good, are there by then.
 */
import { setMaxListeners } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MemorySessionPorts } from "@holdfast/memory-ports";
import { BATCH_FRAMES_BYTES_MAX, FRAME_HEADER_BYTES } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import {
  CALL_OVERLOADED,
  type ClientSession,
  DEFAULT_SESSION_TIMING,
  GREETING_CONNECTIONS_MAX,
  RequestError,
  type Respond,
  SMALL_ANSWER_BYTES,
  STREAMS_PER_PEER_MAX,
  type ServerSessions,
  type SessionLimits,
  type SessionTiming,
  WAITING_REQUESTS_MAX,
  greetingFrame,
  startClientSession,
  startServerSessions,
} from "../src/index.ts";
import { HostileMember, greetingOf } from "./hostile-member.ts";
import { SLOT_BYTES } from "../src/streams/stream-memory.ts";

const MIB = 2 ** 20;
const TERM = 1n;
const identity = { fsid: 7n, key: new Uint8Array(32).fill(1) };

/** The server's, lower than by default, so that hostile members reach all of them in a second; they bound the same things. */
const LIMITS: SessionLimits = {
  requestsInFlightMax: 2048,
  requestBytesMax: 8 * MIB,
  outboxBytesMax: 8 * MIB,
  outboxBusyBytes: 2 * MIB,
  inboxBytesMax: 8 * MIB,
};

/** Those of the member that only calls and cancels. */
const OWN_LIMITS: SessionLimits = {
  requestsInFlightMax: 256,
  requestBytesMax: MIB,
  outboxBytesMax: MIB,
  outboxBusyBytes: MIB,
  inboxBytesMax: MIB,
};

const WINDOW_BYTES = MIB;

/** Nobody is given up for its silence here: the load is all there at once. */
const TIMING: SessionTiming = {
  ...DEFAULT_SESSION_TIMING,
  peerTimeoutMs: 5000,
  greetingTimeoutMs: 5000,
  forgetMs: 12_000,
};

/** What the page says that a side keeps of one session. */
function sessionBytesMax(limits: SessionLimits): number {
  const { requestsInFlightMax, requestBytesMax, outboxBytesMax, inboxBytesMax } = limits;
  const small = requestsInFlightMax * (SMALL_ANSWER_BYTES + FRAME_HEADER_BYTES);
  const bookkeeping = requestsInFlightMax * REQUEST_BYTES + CHUNKS_BYTES;
  return (
    requestBytesMax + 2 * outboxBytesMax + small + inboxBytesMax + 3 * BATCH_FRAMES_BYTES_MAX + bookkeeping
  );
}

/** What the page says that a stream's two directions keep at one side. */
const EXCHANGE_BYTES_MAX = 2 * WINDOW_BYTES + 2 * SLOT_BYTES + 16 * 1024;

/** As in the page: of a request beside its body; of the chunks that a session keeps; of one who greets. */
const REQUEST_BYTES = 512;
const CHUNKS_BYTES = 48 * 16 * 1024;
const STRANGER_BYTES = 8 * 1024;

/** All of it. Streams share memory that is there from the first of them on: what is above that counts. */
function bytesMax(): number {
  const strangers = GREETING_CONNECTIONS_MAX * STRANGER_BYTES;
  const atServer = (MEMBERS.length + 1) * sessionBytesMax(LIMITS);
  const atMember = sessionBytesMax(OWN_LIMITS) + WAITING_REQUESTS_MAX * REQUEST_BYTES;
  const streams = 2 * STREAMS_PER_PEER_MAX * EXCHANGE_BYTES_MAX;
  return strangers + atServer + atMember + Math.max(0, streams - STREAM_MEMORY_BYTES);
}

/** The memory that streams share. */
const STREAM_MEMORY_BYTES = 64 * MIB;

const MEMBERS = [11n, 12n, 13n] as const;
const CARELESS = 5n;

/** Commands of the test: answered with much, with little, never. */
const MUCH = 1;
const LITTLE = 2;
const NEVER = 3;

/** Requests that are more than may wait. */
const REFUSED_COUNT = 10;

/** What may be left: rests of what was compiled, and the like. A session that were kept would be many times as much. */
const REST_BYTES_MAX = 2 * MIB;

/** More frames without bodies than may wait. */
const FLOOD_COUNT = 100_000;

/** Rounds of a member that is always behind, each with a quarter of what may wait. */
const BEHIND_ROUNDS = 70;

const much = new Uint8Array(32 * 1024);
const little = new Uint8Array(SMALL_ANSWER_BYTES);
const none = new Uint8Array(0);

/** A server, a member of it that is careless, and the hostile ones. */
class World {
  readonly ports: MemorySessionPorts = new MemorySessionPorts();
  server!: ServerSessions;
  client!: ClientSession;
  readonly hostile: HostileMember[] = [];
  readonly #owed: Respond[] = [];
  readonly #cancel: AbortController = new AbortController();
  readonly #waiting: Promise<unknown>[] = [];
  refusedCalls = 0;
  refusedRequests = 0;

  static async open(): Promise<World> {
    const world = new World();
    // One signal ends all that waits.
    setMaxListeners(0, world.#cancel.signal);
    const streamLimits = { windowBytes: WINDOW_BYTES };
    const answer = (command: number, respond: Respond): void => {
      if (command === NEVER) world.#owed.push(respond);
      else respond(0, command === MUCH ? much : little);
    };
    world.server = await startServerSessions(
      {
        identity,
        listenAddress: "memory:server",
        term: TERM,
        timing: TIMING,
        limits: LIMITS,
        streamLimits,
        handle: (_, command, __, respond) => answer(command, respond),
        // It never reads what comes, and answers with more than anybody takes.
        handleStream: () => Promise.resolve({ body: none, stream: endless() }),
      },
      world.ports,
    );
    world.client = startClientSession(
      {
        identity,
        rid: CARELESS,
        address: world.server.address,
        timing: TIMING,
        streamLimits,
        limits: OWN_LIMITS,
        handle: (_, command, __, respond) => answer(command, respond),
      },
      world.ports,
    );
    await world.ports.clock.advance(10);
    return world;
  }

  /** All of it at once; of what only takes long, a part. */
  async load(part = 1): Promise<void> {
    for (const rid of MEMBERS) {
      const member = await HostileMember.join({ ...identity, rid }, this.ports, this.server.address);
      this.hostile.push(member);
      await this.#fillWindow(member);
      await this.#neverRead(member);
    }
    const [first, second, third] = this.hostile;
    // Answers without bodies, by the ten thousand, to one request: each is right until the first has had its turn.
    await first?.answer(part * FLOOD_COUNT, NEVER, 1);
    // Always behind by more than what makes requests wait, for many times as much as may wait.
    for (let round = 0; round < part * BEHIND_ROUNDS; round += 1) {
      await second?.acknowledge(100);
      await second?.ask(64, MUCH, much);
    }
    await second?.tear(MUCH);
    // Takes nothing, and asks on.
    await third?.ask(4000, LITTLE, new Uint8Array(8 * 1024));
    await this.#careless();
    await this.#strangers();
  }

  /** Hostile members are gone for as long as it takes to forget them; the careless one is answered at last, and stays. */
  async recover(): Promise<void> {
    this.#cancel.abort();
    for (const member of this.hostile.splice(0)) member.close();
    for (const respond of this.#owed.splice(0)) respond(0, none);
    await this.ports.clock.advance(TIMING.forgetMs + 10_000);
    await Promise.all(this.#waiting.splice(0));
  }

  async #strangers(): Promise<void> {
    const greeting = greetingFrame(
      greetingOf(identity, 99n),
      new Uint8Array(32),
      identity.key,
      this.ports.cryptography,
    );
    for (let count = 0; count < 1000; count += 1) {
      const stream = await this.ports.network.dial(this.server.address);
      stream.start({ data() {}, closed() {}, drained() {} });
      stream.write(greeting.subarray(0, -1));
    }
    await this.ports.clock.advance(2);
  }

  /** The server asks a member that never answers, until it may not. */
  async #fillWindow(member: HostileMember): Promise<void> {
    const before = this.refusedCalls;
    for (let call = 0; this.refusedCalls === before; call += 1) {
      this.server.call(member.rid, NEVER, little, (error) => {
        if (error === CALL_OVERLOADED) this.refusedCalls += 1;
      });
      if (call % 64 === 63) await member.acknowledge();
    }
    await member.acknowledge();
  }

  /** Asks for much and says nothing of what it has taken: what comes behind that waits. */
  async #neverRead(member: HostileMember): Promise<void> {
    await member.ask(64, MUCH, little);
    await member.ask(250, MUCH, much);
  }

  /** Streams that nobody reads, calls that are cancelled, requests that wait. */
  async #careless(): Promise<void> {
    const { client } = this;
    const { signal } = this.#cancel;
    for (let count = 0; count < STREAMS_PER_PEER_MAX; count += 1) {
      const asked = client.requestStream(MUCH, none, { source: endless(), signal });
      this.#waiting.push(asked.catch(() => {}));
    }
    for (let call = 0; call < 2 * LIMITS.requestsInFlightMax; call += 1)
      client.call(NEVER, little, () => {})();
    for (let wait = 0; wait < WAITING_REQUESTS_MAX + REFUSED_COUNT; wait += 1) {
      const count = (error: unknown): void => {
        if (error instanceof RequestError && error.facts.error === CALL_OVERLOADED) this.refusedRequests += 1;
      };
      this.#waiting.push(client.request(NEVER, none, signal).catch(count));
    }
    await this.ports.clock.advance(100);
  }
}

/** As much as anybody takes; one piece, again and again. */
async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield much;
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes that are held: objects, and the memory of buffers. */
async function heldBytes(): Promise<number> {
  for (let round = 0; round < 4; round += 1) {
    collect();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test(
  "scenario 59: whatever peers do at once, a server and a member hold no more than their limits say, and give it back",
  { timeout: 60_000 },
  async () => {
    const warm = await World.open();
    await warm.load(0.1);
    await warm.recover();
    const world = await World.open();
    const startBytes = await heldBytes();

    await world.load();
    const peakBytes = await heldBytes();
    expect(peakBytes - startBytes).toBeLessThan(bytesMax());
    // The load was there: every limit has been reached.
    expect(world.server.stats()).toMatchObject({
      greetingCount: GREETING_CONNECTIONS_MAX,
      sessionsCount: MEMBERS.length + 1,
      streams: { activeCount: STREAMS_PER_PEER_MAX },
      cut: { sequence: 1, limit: 1 },
    });
    expect(world.server.stats().ended.crowded).toBeGreaterThan(0);
    expect(world.server.stats().droppedAnswersCount).toBeGreaterThan(0);
    expect(world.server.stats().waitingBytes).toBeGreaterThan(MEMBERS.length * (LIMITS.inboxBytesMax - MIB));
    expect(world.client.stats()).toMatchObject({
      pendingCount: OWN_LIMITS.requestsInFlightMax,
      waitingCount: WAITING_REQUESTS_MAX,
      streams: { activeCount: STREAMS_PER_PEER_MAX },
    });
    expect(world.refusedCalls).toBeGreaterThanOrEqual(MEMBERS.length);
    expect(world.refusedRequests).toBe(REFUSED_COUNT);
    const { requestBytesMax, outboxBusyBytes, inboxBytesMax } = LIMITS;
    const fullBytes = requestBytesMax + outboxBusyBytes + inboxBytesMax - 2 * MIB;
    expect(peakBytes - startBytes).toBeGreaterThan(MEMBERS.length * fullBytes);

    await world.recover();
    const endBytes = await heldBytes();

    expect(world.server.stats()).toMatchObject({
      greetingCount: 0,
      sessionsCount: 1,
      waitingBytes: 0,
      streams: { activeCount: 0 },
    });
    expect(world.client.stats()).toMatchObject({
      pendingCount: 0,
      waitingCount: 0,
      streams: { activeCount: 0 },
    });
    expect(world.client.isConnected).toBe(true);
    expect(endBytes - startBytes).toBeLessThan(REST_BYTES_MAX);
  },
);
