/*
 * Whole reads and writes over one file descriptor, out of a pool's memory.
 *
 * The callback interface of `node:fs` on a raw descriptor: no object per request beside its promise.
 */
import { close, fdatasync, open, read, write } from "node:fs";
import { promisify } from "node:util";

/** Opens a file with the flags of open(2). */
export const openDescriptor: (path: string, flags: number) => Promise<number> = promisify(
  (path: string, flags: number, done: (error: Error | null, descriptor: number) => void) =>
    open(path, flags, done),
);

/** Closes a descriptor. */
export const closeDescriptor: (descriptor: number) => Promise<void> = promisify(
  (descriptor: number, done: (error: Error | null) => void) => close(descriptor, done),
);

/** fdatasync(2). */
export const syncDescriptor: (descriptor: number) => Promise<void> = promisify(
  (descriptor: number, done: (error: Error | null) => void) => fdatasync(descriptor, done),
);

/** A range of memory and the place on the device it belongs to. */
export interface Transfer {
  readonly descriptor: number;
  readonly memory: Buffer;
  readonly start: number;
  readonly lengthBytes: number;
  /** Byte offset on the device. */
  readonly position: number;
}

/** Reads the whole range, in as many system calls as it takes; rejects at the end of the file. */
export function readWhole(transfer: Transfer): Promise<void> {
  return transferWhole(transfer, "read", read);
}

/** Writes the whole range, in as many system calls as it takes. */
export function writeWhole(transfer: Transfer): Promise<void> {
  return transferWhole(transfer, "write", write);
}

type SystemCall = (
  descriptor: number,
  memory: Buffer,
  start: number,
  length: number,
  position: number,
  done: (error: Error | null, count: number) => void,
) => void;

function transferWhole(transfer: Transfer, verb: string, call: SystemCall): Promise<void> {
  const { descriptor, memory, start, lengthBytes, position } = transfer;
  return new Promise((resolve, reject) => {
    let done = 0;
    next();

    function next(): void {
      call(descriptor, memory, start + done, lengthBytes - done, position + done, (error, count) => {
        if (error !== null) return reject(error);
        // No progress would repeat itself for ever.
        if (count === 0) return reject(new Error(`the ${verb} ended after ${done} of ${lengthBytes} bytes`));
        done += count;
        return done < lengthBytes ? next() : resolve();
      });
    }
  });
}
