import { type StructCodec, bytes, struct, u53 } from "@holdfast/wire-format";

/** Bytes of a ticket's secret. */
export const TICKET_SECRET_BYTES = 32;

/** A call to come: how the side that listens asks. It travels in the application's own request, through the session. */
export interface StreamTicket {
  /** Not 0. */
  readonly number: number;
  /** Random: whoever knows it was called. */
  readonly secret: Uint8Array;
}

/** Layout of a ticket. */
export const StreamTicket: StructCodec<StreamTicket> = struct("StreamTicket", {
  number: u53,
  secret: bytes(TICKET_SECRET_BYTES),
});

/** The dialling side asks of its own accord. */
export const NO_TICKET: StreamTicket = { number: 0, secret: new Uint8Array(0) };

/** A ticket as bytes. */
export function encodeTicket(ticket: StreamTicket): Uint8Array {
  return StreamTicket.encode(ticket);
}

/** A ticket from bytes. @throws RangeError when they are none. */
export function decodeTicket(ticket: Uint8Array): StreamTicket {
  const decoded = StreamTicket.decode(ticket);
  if (decoded.number === 0) throw new RangeError("a ticket has a number");
  return decoded;
}
