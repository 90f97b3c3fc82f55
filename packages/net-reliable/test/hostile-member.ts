/*
 * One who holds the key of a volume and keeps to no rule but the format of frames: asks without end, answers again and again,
 * says that it has received less than it has.
 */
import type { ByteStream } from "@holdfast/environment";
import type { MemorySessionPorts } from "@holdfast/memory-ports";
import {
  FRAME_BODY_BYTES_MAX,
  FRAME_FLAG_RESPONSE,
  FrameParser,
  decodeFrame,
  encodeFrame,
} from "@holdfast/wire-format";
import {
  CHALLENGE_FRAME_BYTES,
  Challenge,
  COMMAND_HEARTBEAT,
  PROTOCOL_VERSION,
  greetingFrame,
} from "../src/index.ts";

/** What it greets with. */
export interface HostileIdentity {
  readonly fsid: bigint;
  readonly key: Uint8Array;
}

const none = new Uint8Array(0);

/** A member that knows the key and keeps to nothing else. */
export class HostileMember {
  readonly rid: bigint;
  isCut = false;
  readonly #stream: ByteStream;
  readonly #ports: MemorySessionPorts;
  readonly #parser: FrameParser = new FrameParser();
  #greeted: ((bytes: Uint8Array) => void) | undefined;
  #seq = 0;
  #id = 0;
  /** What it says to have received; what it has received. */
  #saidSeq = 0;
  #seenSeq = 0;

  private constructor(rid: bigint, stream: ByteStream, ports: MemorySessionPorts) {
    this.rid = rid;
    this.#stream = stream;
    this.#ports = ports;
  }

  static async join(
    { rid, ...identity }: HostileIdentity & { readonly rid: bigint },
    ports: MemorySessionPorts,
    address: string,
  ): Promise<HostileMember> {
    const member = new HostileMember(rid, await ports.network.dial(address), ports);
    member.#greeted = (bytes) => {
      const { nonce } = Challenge.decode(decodeFrame(bytes.subarray(0, CHALLENGE_FRAME_BYTES)).body);
      member.#greeted = undefined;
      member.#stream.write(greetingFrame(greetingOf(identity, rid), nonce, identity.key, ports.cryptography));
    };
    member.#stream.start({
      data: (bytes) => member.#received(bytes),
      closed: () => {
        member.isCut = true;
      },
      drained() {},
    });
    await ports.clock.advance(5);
    return member;
  }

  /** Sends so many requests, in large pieces. */
  async ask(count: number, command: number, body: Uint8Array): Promise<void> {
    await this.#send(count, body, () => {
      this.#id += 1;
      return { id: this.#id, command, flags: 0 };
    });
  }

  /** Answers one request of the server again and again. */
  async answer(count: number, command: number, id: number): Promise<void> {
    await this.#send(count, none, () => ({ id, command, flags: FRAME_FLAG_RESPONSE }));
  }

  /** Says that it has received what has come, but for the last `lag` frames. */
  async acknowledge(lag = 0): Promise<void> {
    this.#saidSeq = Math.max(this.#saidSeq, this.#seenSeq - lag);
    this.#stream.write(
      encodeFrame(
        { seq: 0, recvSeq: this.#saidSeq, id: 0, command: COMMAND_HEARTBEAT, error: 0, flags: 0 },
        none,
      ),
    );
    await this.#ports.clock.advance(2);
  }

  /** Leaves half of a batch with the server. */
  async tear(command: number): Promise<void> {
    const frame = { seq: this.#seq + 1, recvSeq: 0, id: this.#id + 1, command, error: 0, flags: 0 };
    this.#stream.write(encodeFrame(frame, new Uint8Array(FRAME_BODY_BYTES_MAX)).subarray(0, -1));
    await this.#ports.clock.advance(2);
  }

  close(): void {
    this.#stream.destroy();
  }

  async #send(
    count: number,
    body: Uint8Array,
    next: () => { readonly id: number; readonly command: number; readonly flags: number },
  ): Promise<void> {
    let pieces: Uint8Array[] = [];
    for (let sent = 1; sent <= count; sent += 1) {
      this.#seq += 1;
      pieces.push(encodeFrame({ seq: this.#seq, recvSeq: this.#saidSeq, error: 0, ...next() }, body));
      if (sent % (body.length > 0 ? 64 : 8192) > 0 && sent < count) continue;
      this.#stream.write(Buffer.concat(pieces));
      pieces = [];
      await this.#ports.clock.advance(2);
    }
  }

  #received(bytes: Uint8Array): void {
    if (this.#greeted !== undefined) return this.#greeted(bytes);
    this.#parser.push(bytes, ({ seq }) => {
      this.#seenSeq = Math.max(this.#seenSeq, seq);
      return true;
    });
  }
}

/** A greeting that lacks its proof only. */
export function greetingOf({ fsid }: HostileIdentity, rid: bigint): Parameters<typeof greetingFrame>[0] {
  const [nonce, flags] = [new Uint8Array(32), { isVoter: false, isLeaving: false }];
  return {
    version: PROTOCOL_VERSION,
    fsid,
    formatHash: 0n,
    rid,
    term: 0n,
    attempt: 1,
    recvSeq: 0,
    nonce,
    ...flags,
  };
}
