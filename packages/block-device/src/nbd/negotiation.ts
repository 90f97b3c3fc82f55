/*
 * The client's side of an NBD handshake: fixed newstyle, TLS if asked for, structured replies if offered, one export.
 *
 * A machine: bytes in, effects out. What it holds back is at most one reply of {@link REPLY_BYTES_MAX} bytes, and it
 * takes at most {@link REPLIES_MAX} replies. Bytes that a server sends where it must wait are an error; between the
 * consent to TLS and its handshake they could be an intruder's.
 */
import { NbdProtocolError, readableText } from "./nbd-error.ts";
import {
  DEFAULT_PAYLOAD_BYTES_MAX,
  EXPORT_FLAG,
  HANDSHAKE,
  INFO,
  OLDSTYLE_MAGIC,
  OPTION,
  OPTION_ERRORS,
  OPTION_MAGIC,
  OPTION_REPLY,
  OPTION_REPLY_MAGIC,
  SERVER_MAGIC,
  TLS_REQUIRED,
  UNKNOWN_EXPORT,
} from "./protocol.ts";

/** What an export can do, as its server says. */
export interface NbdExport {
  readonly sizeBytes: bigint;
  /** Transmission flags, see {@link EXPORT_FLAG}. */
  readonly flags: number;
  /** Offsets and lengths must be multiples of this power of two. */
  readonly blockBytesMin: number;
  /** Longest payload of one request. */
  readonly payloadBytesMax: number;
  /** True if reads are answered in chunks. */
  readonly isStructured: boolean;
}

/** What the driver must do; in the order given. */
export type NegotiationEffect =
  | { readonly type: "send"; readonly bytes: Uint8Array }
  /** Do the TLS handshake, then report `secured`. */
  | { readonly type: "start-tls" }
  | { readonly type: "ready"; readonly export: NbdExport };

/** What the driver reports. */
export type NegotiationEvent =
  | { readonly type: "bytes"; readonly bytes: Uint8Array }
  | { readonly type: "secured" };

/** Longest reply that is taken: several times the longest that the protocol has. */
export const REPLY_BYTES_MAX: number = 64 * 1024;
/** Most replies of one negotiation; a list of exports has one for each. */
export const REPLIES_MAX = 10_000;

const GREETING_BYTES = 18;
const REPLY_HEADER_BYTES = 20;
/** Names of exports that an error message lists. */
const LISTED_MAX = 20;
const BLOCK_BYTES_MAX = 65_536;

type Stage = "greeting" | "start-tls" | "handshake" | "structured" | "go" | "list" | "ready";

/** One negotiation. Throws {@link NbdProtocolError} when it cannot succeed; then it is over. */
export class Negotiation {
  readonly #exportName: string;
  readonly #isSecure: boolean;
  #stage: Stage = "greeting";
  #held: Uint8Array = new Uint8Array(0);
  #repliesCount = 0;
  #isStructured = false;
  #size: { readonly sizeBytes: bigint; readonly flags: number } | undefined;
  #blocks = { minimum: 1, maximum: DEFAULT_PAYLOAD_BYTES_MAX };
  #unknownExport = "";
  readonly #listed: string[] = [];
  #listedCount = 0;

  constructor(exportName: string, isSecure: boolean) {
    this.#exportName = exportName;
    this.#isSecure = isSecure;
  }

  /** @throws {@link NbdProtocolError} `ERR_HOLDFAST_NBD_PROTOCOL` */
  handle(event: NegotiationEvent): readonly NegotiationEffect[] {
    if (event.type === "secured") return this.#secured();
    this.#hold(event.bytes);
    const effects: NegotiationEffect[] = [];
    for (;;) {
      const more = this.#stage === "greeting" ? this.#greeting() : this.#reply();
      if (more === undefined) break;
      effects.push(...more);
    }
    return effects;
  }

  #hold(bytes: Uint8Array): void {
    if (this.#stage === "handshake" || this.#stage === "ready")
      throw new NbdProtocolError("it sends bytes where it must wait");
    const held = new Uint8Array(this.#held.length + bytes.length);
    held.set(this.#held);
    held.set(bytes, this.#held.length);
    this.#held = held;
  }

  #take(count: number): DataView {
    const { buffer, byteOffset } = this.#held;
    this.#held = this.#held.subarray(count);
    return new DataView(buffer, byteOffset, count);
  }

  #greeting(): readonly NegotiationEffect[] | undefined {
    if (this.#held.length >= 8 && viewOf(this.#held).getBigUint64(0) !== SERVER_MAGIC)
      throw new NbdProtocolError("it is no NBD server: its first bytes are not NBDMAGIC");
    if (this.#held.length < GREETING_BYTES) return undefined;
    const view = this.#take(GREETING_BYTES);
    if (view.getBigUint64(8) === OLDSTYLE_MAGIC)
      throw new NbdProtocolError("it speaks the oldstyle protocol only: start it in newstyle mode");
    if (view.getBigUint64(8) !== OPTION_MAGIC) throw new NbdProtocolError("its greeting is malformed");
    const flags = view.getUint16(16);
    if ((flags & HANDSHAKE.fixedNewstyle) === 0)
      throw new NbdProtocolError("it cannot do fixed newstyle negotiation: it is too old");
    const answer = new Uint8Array(4);
    viewOf(answer).setUint32(0, flags & (HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes));
    return [
      { type: "send", bytes: answer },
      this.#isSecure ? this.#ask("start-tls") : this.#ask("structured"),
    ];
  }

  #ask(stage: "start-tls" | "structured" | "go" | "list"): NegotiationEffect {
    this.#stage = stage;
    switch (stage) {
      case "start-tls":
        return option(OPTION.startTls);
      case "structured":
        return option(OPTION.structuredReply);
      case "go":
        return option(OPTION.go, goData(this.#exportName));
      case "list":
        return option(OPTION.list);
    }
  }

  #secured(): readonly NegotiationEffect[] {
    if (this.#stage !== "handshake") throw new NbdProtocolError("TLS was not agreed on");
    return [this.#ask("structured")];
  }

  /** One whole reply, or undefined to wait for more bytes. */
  #reply(): readonly NegotiationEffect[] | undefined {
    if (this.#held.length > 0 && (this.#stage === "handshake" || this.#stage === "ready"))
      throw new NbdProtocolError("it sends bytes where it must wait");
    if (this.#held.length < REPLY_HEADER_BYTES) return undefined;
    const header = viewOf(this.#held);
    if (header.getBigUint64(0) !== OPTION_REPLY_MAGIC)
      throw new NbdProtocolError("its reply to an option has a wrong magic number");
    const length = header.getUint32(16);
    if (length > REPLY_BYTES_MAX)
      throw new NbdProtocolError(`its reply to an option would have ${length} bytes`);
    if (this.#held.length < REPLY_HEADER_BYTES + length) return undefined;
    this.#repliesCount += 1;
    if (this.#repliesCount > REPLIES_MAX) throw new NbdProtocolError("it sends replies without end");
    const [asked, type] = [header.getUint32(8), header.getUint32(12)];
    this.#take(REPLY_HEADER_BYTES);
    return this.#answered(asked, type, this.#take(length));
  }

  #answered(asked: number, type: number, data: DataView): readonly NegotiationEffect[] {
    const stage = this.#stage;
    if (asked !== askedIn(stage)) throw new NbdProtocolError("it answers an option that was not asked");
    switch (stage) {
      case "start-tls":
        if (type !== OPTION_REPLY.ack)
          throw new NbdProtocolError(
            `it refuses TLS: ${refusal(type, data)}; set up TLS at the server, or use nbd://`,
          );
        this.#stage = "handshake";
        return [{ type: "start-tls" }];
      case "structured":
        if (type === TLS_REQUIRED) throw new NbdProtocolError("it wants TLS: use nbds:// or nbds+unix://");
        this.#isStructured = type === OPTION_REPLY.ack;
        return [this.#ask("go")];
      case "go":
        return this.#answeredGo(type, data);
      case "list":
        return this.#answeredList(type, data);
      case "greeting":
      case "handshake":
      case "ready":
        throw new NbdProtocolError("it sends replies where it must wait");
    }
  }

  #answeredGo(type: number, data: DataView): readonly NegotiationEffect[] {
    if (type === OPTION_REPLY.info) {
      this.#learn(data);
      return [];
    }
    if (type === OPTION_REPLY.ack) return [this.#ready()];
    if (type === TLS_REQUIRED) throw new NbdProtocolError("it wants TLS: use nbds:// or nbds+unix://");
    const refused = `it refuses the export "${this.#exportName}": ${refusal(type, data)}`;
    if (type !== UNKNOWN_EXPORT) throw new NbdProtocolError(refused);
    this.#unknownExport = refused;
    return [this.#ask("list")];
  }

  #learn(data: DataView): void {
    if (data.byteLength < 2) throw new NbdProtocolError("its information on the export is cut off");
    const kind = data.getUint16(0);
    if (kind === INFO.export) {
      if (data.byteLength !== 12) throw new NbdProtocolError("its information on the export is malformed");
      this.#size = { sizeBytes: data.getBigUint64(2), flags: data.getUint16(10) };
    } else if (kind === INFO.blockSize) {
      if (data.byteLength !== 14) throw new NbdProtocolError("its block sizes are malformed");
      this.#blocks = blockSizes(data.getUint32(2), data.getUint32(10));
    }
  }

  #ready(): NegotiationEffect {
    if (this.#size === undefined) throw new NbdProtocolError("it does not tell the export's size");
    const { sizeBytes, flags } = this.#size;
    if ((flags & EXPORT_FLAG.hasFlags) === 0) throw new NbdProtocolError("it does not tell what it can do");
    this.#stage = "ready";
    const { minimum, maximum } = this.#blocks;
    return {
      type: "ready",
      export: {
        sizeBytes,
        flags,
        blockBytesMin: minimum,
        payloadBytesMax: maximum,
        isStructured: this.#isStructured,
      },
    };
  }

  #answeredList(type: number, data: DataView): readonly NegotiationEffect[] {
    if (type === OPTION_REPLY.server) {
      if (data.byteLength < 4 || 4 + data.getUint32(0) > data.byteLength)
        throw new NbdProtocolError("its list of exports is malformed");
      this.#listedCount += 1;
      const name = new Uint8Array(data.buffer, data.byteOffset + 4, data.getUint32(0));
      if (this.#listed.length < LISTED_MAX) this.#listed.push(`"${readableText(name)}"`);
      return [];
    }
    throw new NbdProtocolError(`${this.#unknownExport}; ${this.#offer(type)}`);
  }

  #offer(type: number): string {
    if (type !== OPTION_REPLY.ack) return "it does not list its exports";
    if (this.#listedCount === 0) return "it lists no exports";
    const rest = this.#listedCount - this.#listed.length;
    return `it offers ${this.#listed.join(", ")}${rest === 0 ? "" : ` and ${rest} more`}`;
  }
}

/** @throws {@link NbdProtocolError} when they are not what the protocol allows. */
function blockSizes(minimum: number, maximum: number): { minimum: number; maximum: number } {
  const isPower = minimum > 0 && (minimum & (minimum - 1)) === 0;
  if (
    !isPower ||
    minimum > BLOCK_BYTES_MAX ||
    maximum < minimum ||
    (maximum % minimum !== 0 && maximum !== 0xffffffff)
  )
    throw new NbdProtocolError(`its block sizes make no sense: ${minimum} to ${maximum}`);
  return { minimum, maximum: Math.min(maximum, DEFAULT_PAYLOAD_BYTES_MAX) };
}

function askedIn(stage: Stage): number | undefined {
  switch (stage) {
    case "start-tls":
      return OPTION.startTls;
    case "structured":
      return OPTION.structuredReply;
    case "go":
      return OPTION.go;
    case "list":
      return OPTION.list;
    case "greeting":
    case "handshake":
    case "ready":
      return undefined;
  }
}

function option(code: number, data: Uint8Array = new Uint8Array(0)): NegotiationEffect {
  const bytes = new Uint8Array(16 + data.length);
  const view = viewOf(bytes);
  view.setBigUint64(0, OPTION_MAGIC);
  view.setUint32(8, code);
  view.setUint32(12, data.length);
  bytes.set(data, 16);
  return { type: "send", bytes };
}

/** Name of the export, and the one kind of information that does not come unasked: its block sizes. */
function goData(exportName: string): Uint8Array {
  const name = new TextEncoder().encode(exportName);
  const data = new Uint8Array(4 + name.length + 4);
  const view = viewOf(data);
  view.setUint32(0, name.length);
  data.set(name, 4);
  view.setUint16(4 + name.length, 1);
  view.setUint16(6 + name.length, INFO.blockSize);
  return data;
}

function refusal(type: number, data: DataView): string {
  const said = readableText(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const reason = OPTION_ERRORS.get(type) ?? `reply ${type}`;
  return said === "" ? reason : `${reason} ("${said}")`;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
