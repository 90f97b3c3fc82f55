/*
 * The four roles of a side of an exchange: answering and asking, at the server and at a member; each with what its other side
 * says in whole exchanges.
 */
import { CancelledError, utf8 } from "@holdfast/environment";
import {
  CHALLENGE_FRAME_BYTES,
  type ReceivedStream,
  RequestError,
  StreamGreeting,
  type StreamMessage,
  type StreamRequest,
  StreamTicket,
  StreamWelcome,
} from "@holdfast/net-reliable";
import { LONE_FRAME_BYTES, equalBytes } from "@holdfast/wire-format";
import { FindingError } from "../target.ts";
import { concatenated, garbage } from "./pieces.ts";
import { type HandStream, RID, SAME_BYTE, StreamSides } from "./stream-sides.ts";

/** What was read of a stream that came whole. */
export interface Read {
  readonly body: Uint8Array;
  readonly bytes: Uint8Array;
}

/** Takes what a side promises to its user. */
export type Watch = (reading: Promise<Read | undefined>) => void;

/** A side of exchanges that can be fired at. */
export interface StreamSide {
  /** What the other side sent in whole exchanges with a checksum, and in one without. */
  readonly summed: readonly Uint8Array[];
  readonly unsummed: Uint8Array;
  /** Bytes of each by which the other side makes itself known. */
  readonly greetingBytes: number;
  /** Brings it so far that it has a new connection. */
  begin(watch: Watch): Promise<HandStream>;
  /** The connection is gone: whoever waits for another one does so no more. */
  end(): void;
  /** @throws FindingError when anything is left of an exchange. */
  checkRest(): void;
  /** @throws FindingError when an honest exchange does not come whole. */
  checkService(): Promise<void>;
}

/** Body of every request and of every answer. */
export const REQUEST: Uint8Array = utf8.encode("a request, or its answer");
/** A stream that fits a window. */
export const SHORT: readonly Uint8Array[] = [garbage(), garbage().subarray(0, 1), garbage()];
/** A stream that needs credit to come whole. */
export const LONG: readonly Uint8Array[] = Array.from({ length: 20 }, garbage);

/** Commands of requests: the answer has a checksum, or none. */
const [SUMMED, UNSUMMED] = [1, 2];

/** Bytes by which the dialling side, and the other one, make themselves known. */
const GREETING_BYTES = {
  toServer: LONE_FRAME_BYTES + StreamGreeting.sizeBytes,
  toClient: CHALLENGE_FRAME_BYTES + LONE_FRAME_BYTES + StreamWelcome.sizeBytes,
};
const TICKET = StreamTicket.encode({ number: 1, secret: new Uint8Array(32).fill(SAME_BYTE) });

/** A server that answers a member. */
export async function answering(): Promise<StreamSide> {
  const { echo, sides } = await openSides();
  return makeSide(
    await recorded("toServer", askServer),
    () => sides,
    (watch) => {
      echo.watch = watch;
      return Promise.resolve(sides.knock());
    },
  );
}

/** A member that asks a server. */
export async function asking(): Promise<StreamSide> {
  const { sides } = await openSides();
  return makeSide(
    await recorded("toClient", askServer),
    () => sides,
    (watch) => {
      watch(askServer(sides, SHORT, SUMMED));
      return sides.dialled();
    },
  );
}

/** A server that calls a member and asks it. */
export async function calling(): Promise<StreamSide> {
  let { sides } = await openSides();
  let giveUp = new AbortController();
  const side = makeSide(
    await recorded("toServer", askMember),
    () => sides,
    async (watch) => {
      // The number of the call is the first, as it was when the greeting was recorded.
      ({ sides } = await openSides());
      giveUp = new AbortController();
      const options = { source: from(SHORT), signal: giveUp.signal };
      const reading = sides.server.requestStream(RID, SUMMED, REQUEST, options).then(readWhole);
      watch(reading.catch(unlessOf(CancelledError)));
      return sides.knock();
    },
  );
  return { ...side, end: () => giveUp.abort() };
}

/** A member that was called. */
export async function called(): Promise<StreamSide> {
  const { echo, sides } = await openSides();
  return makeSide(
    await recorded("toClient", askMember),
    () => sides,
    (watch) => {
      echo.watch = watch;
      watch(sides.call(TICKET).then(() => undefined, unlessOf(RequestError)));
      return sides.dialled();
    },
  );
}

type Ask = (sides: StreamSides, pieces: readonly Uint8Array[], command: number) => Promise<Read>;

const askServer: Ask = async ({ client }, pieces, command) => {
  const options = { source: from(pieces), isSummed: command === SUMMED };
  return readWhole(await client.requestStream(command, REQUEST, options));
};

const askMember: Ask = async ({ server }, pieces, command) => {
  const options = { source: from(pieces), isSummed: command === SUMMED };
  return readWhole(await server.requestStream(RID, command, REQUEST, options));
};

type Said = Pick<StreamSide, "summed" | "unsummed" | "greetingBytes">;

/** What goes one way in whole exchanges. */
async function recorded(way: "toServer" | "toClient", ask: Ask): Promise<Said> {
  const record = async (pieces: readonly Uint8Array[], command: number): Promise<Uint8Array> => {
    const { sides } = await openSides();
    const [, wire] = await Promise.all([ask(sides, pieces, command), sides.connect()]);
    return concatenated(wire[way]);
  };
  return {
    summed: [await record(SHORT, SUMMED), await record(LONG, SUMMED)],
    unsummed: await record(SHORT, UNSUMMED),
    greetingBytes: GREETING_BYTES[way],
  };
}

function makeSide(said: Said, sides: () => StreamSides, begin: StreamSide["begin"]): StreamSide {
  return {
    ...said,
    begin,
    end: () => sides().carrySession(),
    checkRest: () => sides().checkRest(),
    checkService: async () => {
      const [{ bytes }] = await Promise.all([askServer(sides(), SHORT, SUMMED), sides().connect()]);
      if (!equalBytes(bytes, concatenated(SHORT))) throw new FindingError("an honest exchange was disturbed");
    },
  };
}

/** Takes an error of that class for an end without a result. */
function unlessOf(expected: new (...rest: never[]) => Error): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof expected)) throw error;
  };
}

async function openSides(): Promise<{ readonly echo: Echo; readonly sides: StreamSides }> {
  const echo = new Echo();
  return { echo, sides: await StreamSides.open((request) => echo.answer(request)) };
}

/** Answers with what it was asked with. */
class Echo {
  watch: Watch = () => {};

  async answer(request: StreamRequest): Promise<StreamMessage> {
    const reading = readWhole(request);
    this.watch(reading);
    const { body, bytes } = await reading;
    return { body, stream: from([bytes]), isSummed: request.command === SUMMED };
  }
}

async function readWhole({ body, stream }: ReceivedStream): Promise<Read> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece.slice());
  return { body, bytes: concatenated(pieces) };
}

async function* from(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) if (piece.length > 0) yield piece;
}
