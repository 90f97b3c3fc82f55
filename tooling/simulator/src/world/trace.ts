/*
 * The trace of a world: a rolling hash over every event and the last few events in words.
 *
 * Two runs of one seed have one hash; a difference means that something reached the world that no port handed in.
 */

/** Events kept in words, unless somebody wants more. */
const RING_EVENTS = 256;

/** One event in words. */
export interface TraceLine {
  /** Milliseconds of virtual time. */
  readonly timeMs: number;
  /** Whom it happened to; empty for the world itself. */
  readonly process: string;
  readonly what: string;
}

interface Note {
  readonly timeMs: number;
  readonly process: string;
  readonly what: string | (() => string);
}

/** A rolling hash of what happened, and its tail. */
export class Trace {
  readonly #ring: Note[] = [];
  readonly #linesMax: number;
  readonly #float = new Float64Array(1);
  readonly #words = new Uint32Array(this.#float.buffer);
  #low = 0x811c9dc5;
  #high = 0x2545f491;
  #noted = 0;

  constructor(linesMax: number = RING_EVENTS) {
    this.#linesMax = linesMax;
  }

  /** Mixes one event's time and number into the hash. */
  event(timeMs: number, number: number): void {
    this.#float[0] = timeMs;
    this.mix(this.#words[0] ?? 0);
    this.mix((this.#words[1] ?? 0) ^ number);
  }

  /** Mixes a 32-bit number into the hash. */
  mix(value: number): void {
    const low = Math.imul(this.#low ^ value, 0x9e3779b1);
    const high = Math.imul(this.#high + low, 0x85ebca6b);
    this.#low = low ^ (low >>> 15);
    this.#high = high ^ (high >>> 13);
  }

  /** Mixes up to 16 samples of some bytes, and their count, into the hash. */
  mixBytes(bytes: Uint8Array): void {
    const step = Math.max(1, bytes.length >>> 4);
    let sample = bytes.length;
    for (let at = 0; at < bytes.length; at += step) sample = Math.imul(sample, 31) + (bytes[at] ?? 0);
    this.mix(sample);
  }

  /** Remembers an event in words: a fault, a line of a log. */
  note(timeMs: number, process: string, what: string | (() => string)): void {
    this.#ring[this.#noted % this.#linesMax] = { timeMs, process, what };
    this.#noted += 1;
    this.mix(process.length);
  }

  /** The last events in words, oldest first. */
  tail(): TraceLine[] {
    const start = this.#noted > this.#linesMax ? this.#noted % this.#linesMax : 0;
    return [...this.#ring.slice(start), ...this.#ring.slice(0, start)].map(({ timeMs, process, what }) => ({
      timeMs,
      process,
      what: typeof what === "string" ? what : what(),
    }));
  }

  /** The hash so far: 16 hexadecimal digits. */
  hash(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
