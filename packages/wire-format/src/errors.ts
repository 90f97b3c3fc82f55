import { HoldfastError } from "@holdfast/environment";

/** Where a block that failed stood and what was found there. */
export interface BlockFacts {
  readonly [fact: string]: string | number | bigint;
  /** Number of the block that was meant. */
  readonly block: bigint;
}

/** Codes of {@link BlockError}. */
export type BlockErrorCode =
  | "ERR_HOLDFAST_BLOCK_SIZE"
  | "ERR_HOLDFAST_BLOCK_MAGIC"
  | "ERR_HOLDFAST_BLOCK_CHECKSUM"
  | "ERR_HOLDFAST_BLOCK_FOREIGN"
  | "ERR_HOLDFAST_BLOCK_MISDIRECTED"
  | "ERR_HOLDFAST_BLOCK_TYPE"
  | "ERR_HOLDFAST_BLOCK_STALE"
  | "ERR_HOLDFAST_BLOCK_CONTENT";

/** A block that is not what was expected at its place. */
export class BlockError extends HoldfastError<BlockErrorCode, BlockFacts> {
  constructor(code: BlockErrorCode, message: string, facts: BlockFacts, options?: ErrorOptions) {
    super(code, "corruption", message, facts, options);
  }
}

/** Codes of {@link FrameError}. */
export type FrameErrorCode =
  | "ERR_HOLDFAST_FRAME_TRUNCATED"
  | "ERR_HOLDFAST_FRAME_CHECKSUM"
  | "ERR_HOLDFAST_FRAME_TOO_LONG"
  | "ERR_HOLDFAST_FRAME_HEADER";

/** A frame that breaks the format; the connection it came by is of no further use. */
export class FrameError extends HoldfastError<FrameErrorCode, { readonly detail: number }> {
  constructor(code: FrameErrorCode, message: string, detail: number) {
    super(code, "protocol", message, { detail });
  }
}

/** Codes of {@link MessageError}. */
export type MessageErrorCode =
  | "ERR_HOLDFAST_MESSAGE_MALFORMED"
  | "ERR_HOLDFAST_MESSAGE_LIMIT"
  | "ERR_HOLDFAST_MESSAGE_SHAPE";

/** A message body that is not what its command says. */
export class MessageError extends HoldfastError<MessageErrorCode, { readonly message: string }> {
  constructor(code: MessageErrorCode, message: string, name: string, options?: ErrorOptions) {
    super(code, "protocol", message, { message: name }, options);
  }
}
