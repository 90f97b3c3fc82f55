/*
 * Sockets that read into memory of ours.
 *
 * Node.js gives a socket 64 KiB of new memory for each read, and copies out what came: between two processes that
 * exchange messages of some KiB, that is a seventh of all they do (decision 26). A socket that dials can be told
 * otherwise. One that was accepted can not, so its connection is taken over by one that we make.
 */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net";

/**
 * Where streams read that have no place of their own: what came is taken before anything else is read. One that was
 * accepted takes as much at once as Node.js would give it.
 */
const ACCEPTED_BUFFER = new Uint8Array(64 * 1024);

/**
 * Where those read that dial. With all that has come in one read, this process and the peer would take turns instead of
 * working at the same time; with much less, the system calls tell.
 */
const DIALLED_BUFFER: Uint8Array = ACCEPTED_BUFFER.subarray(0, 32 * 1024);

/** Where a socket that reads into memory of ours leaves the bytes. */
export interface ReadTarget {
  /** Takes bytes, valid only during the call. */
  take(bytes: Uint8Array): void;
  /** Where the next bytes should be put; undefined: anywhere. */
  place(): Uint8Array | undefined;
}

/** A target of nobody yet. */
export function readTarget(): ReadTarget {
  return { take: () => {}, place: () => undefined };
}

/** How a socket that dials reads into `target`. */
export function readDialled(target: ReadTarget): OnReadOpts {
  return readInto(target, DIALLED_BUFFER);
}

/** What Node.js has of a connection, and does not document: there is no other way to it. */
interface Connection {
  /** There if the connection can read into memory that it is given. */
  readonly useUserBuffer?: unknown;
}

/**
 * The socket that has the connection of `accepted` from now on, paused, and reads into `target`; undefined if this Node.js
 * does not let its connection go: `accepted` keeps it then.
 *
 * @param accepted - Paused, and without listeners.
 */
export function takeOver(accepted: Socket, target: ReadTarget): Socket | undefined {
  const owner = accepted as { _handle?: Connection | null };
  const handle = owner._handle;
  if (handle?.useUserBuffer === undefined) return undefined;
  owner._handle = null;
  // Without a connection it only counts itself out of its server.
  accepted.destroy();
  const options: SocketConstructorOpts & { handle: Connection; onread: OnReadOpts } = {
    handle,
    onread: readInto(target, ACCEPTED_BUFFER),
  };
  return new Socket(options).pause();
}

/** Each read goes to the place its user wants, or into the same memory, which it leaves in the same turn. */
function readInto(target: ReadTarget, otherwise: Uint8Array): OnReadOpts {
  return {
    buffer: () => target.place() ?? otherwise,
    callback: (length, bytes) => {
      target.take(bytes.subarray(0, length));
      return true;
    },
  };
}
