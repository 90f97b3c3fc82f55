/*
 * Sees what sessions and locks go through, by the frames that members and servers give to their streams.
 */
import { Command } from "@holdfast/member";
import { type Frame, FRAME_FLAG_RESPONSE, FrameError, FrameParser, KEY_BYTES } from "@holdfast/wire-format";
import type { Counters } from "../scenario/counters.ts";
import type { SimulatedStream } from "../world/stream.ts";

/** One direction of the traffic of two processes, over all their streams. */
interface Route {
  streamCount: number;
  lastSeq: number;
  /** Revocations that the other side may not have heard of. */
  revocations: { readonly seq: number; readonly lock: string }[];
}

interface Wire {
  readonly parser: FrameParser;
  readonly route: Route;
  /** What comes the other way. */
  readonly back: Route;
  /** True until the first frame with a number. */
  isFresh: boolean;
}

/** The newest term in which a process served, or was greeted by a server. */
type Terms = Map<string, bigint>;

/** Most revocations under way that are remembered of one route. */
const REVOCATIONS_MAX = 256;

/** Counts what sessions and locks go through. */
export class TrafficWatch {
  readonly #counters: Counters;
  readonly #routes: Map<string, Route> = new Map();
  readonly #wires: WeakMap<SimulatedStream, Wire> = new WeakMap();
  /** Processes that are members. */
  readonly #members: Set<string> = new Set();
  readonly #served: Terms = new Map();
  readonly #greeted: Terms = new Map();

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** A process is a member: other processes have sessions of another kind. */
  watch(process: string): void {
    this.#members.add(process);
  }

  /** A process serves in a term. */
  serves(process: string, term: bigint): void {
    this.#served.set(process, term);
  }

  /** A process was greeted by the server of a term. */
  greeted(process: string, term: bigint): void {
    this.#greeted.set(process, term);
  }

  /** One end of a stream was given bytes. */
  readonly sent = (stream: SimulatedStream, bytes: Uint8Array): void => {
    if (!this.#members.has(stream.processName)) return;
    const wire = this.#wireOf(stream);
    try {
      wire.parser.push(bytes, (frame) => {
        this.#look(wire, frame, stream.isDialed);
        if (frame.seq !== 0 && this.#isOutdated(stream)) this.#counters.add("lower-term-ignored");
        return true;
      });
    } catch (error) {
      // What is no frame is for the other end to judge.
      if (!(error instanceof FrameError)) throw error;
    }
  };

  /** True for the end of a server whose peer knows one of a later term. */
  #isOutdated({ isDialed, processName, peerProcessName }: SimulatedStream): boolean {
    const [served, greeted] = [this.#served.get(processName), this.#greeted.get(peerProcessName)];
    return !isDialed && served !== undefined && greeted !== undefined && served < greeted;
  }

  #wireOf(stream: SimulatedStream): Wire {
    const known = this.#wires.get(stream);
    if (known !== undefined) return known;
    const route = this.#route(stream.processName, stream.peerProcessName);
    route.streamCount += 1;
    const back = this.#route(stream.peerProcessName, stream.processName);
    const wire = { parser: new FrameParser(), route, back, isFresh: true };
    this.#wires.set(stream, wire);
    return wire;
  }

  #route(from: string, to: string): Route {
    const name = `${from}>${to}`;
    const known = this.#routes.get(name);
    if (known !== undefined) return known;
    const route = { streamCount: 0, lastSeq: 0, revocations: [] };
    this.#routes.set(name, route);
    return route;
  }

  #look(wire: Wire, { seq, recvSeq, command, flags, body }: Frame, isMember: boolean): void {
    const { route, back } = wire;
    if (back.revocations.length > 0) back.revocations = back.revocations.filter((one) => one.seq > recvSeq);
    if (seq === 0) return;
    // A session that begins anew begins with 1; one that goes on begins with what was not received.
    if (wire.isFresh && route.streamCount > 1 && seq > 1 && seq <= route.lastSeq)
      this.#counters.add(isMember ? "resent-to-server" : "resent-to-member");
    wire.isFresh = false;
    route.lastSeq = Math.max(seq, route.lastSeq);
    if (flags === FRAME_FLAG_RESPONSE) return;
    if (isMember) this.#lookAtRequest(back, command, body);
    else if (command === Command.invalidate && route.revocations.length < REVOCATIONS_MAX)
      route.revocations.push({ seq, lock: lockOf(body) });
  }

  #lookAtRequest(back: Route, command: number, body: Uint8Array): void {
    if (command === Command.reclaim && body.length > KEY_BYTES) this.#counters.add("locks-reported");
    if (command !== Command.lock || back.revocations.length === 0) return;
    const lock = lockOf(body);
    if (back.revocations.some((one) => one.lock === lock)) this.#counters.add("revoke-crossed-request");
  }
}

/** The name of a lock: both messages begin with its first key. */
function lockOf(body: Uint8Array): string {
  return body.subarray(0, KEY_BYTES).join();
}
