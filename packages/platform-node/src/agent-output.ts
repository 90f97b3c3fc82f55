import type { Readable } from "node:stream";

/** What is kept of an agent's output, for people. */
const TEXT_LENGTH_MAX = 2048;

/** What is kept of the beginning of a line; what is longer names nobody. */
const LINE_LENGTH_MAX = 64;

/** `fenced RID`, in whatever way programs print a number in hexadecimal. */
const FENCED_LINE = /^fenced\s+(?:0x)?([0-9a-f]{1,16})\s*$/i;

/**
 * What a fence agent prints: its beginning for people, and whom all of it names, however much it is. The two streams
 * are read each for itself, since what one says in the middle of a line of the other would hide that line.
 */
export class AgentOutput {
  #text = "";
  readonly #named: Set<bigint> = new Set();
  readonly #restOfLines: (() => void)[] = [];

  /** The first {@link TEXT_LENGTH_MAX} characters. */
  get text(): string {
    return this.#text.trim();
  }

  /** Reads a stream. */
  listen(stream: Readable): void {
    let line = "";
    const endLine = (): void => {
      this.#take(line);
      line = "";
    };
    this.#restOfLines.push(endLine);
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      this.#text = (this.#text + chunk).slice(0, TEXT_LENGTH_MAX);
      const [first = "", ...others] = chunk.split("\n");
      line = (line + first).slice(0, LINE_LENGTH_MAX);
      for (const next of others) {
        endLine();
        line = next.slice(0, LINE_LENGTH_MAX);
      }
    });
  }

  /** Somebody else than `asked` whom it says that it fenced, if there is one; else `asked`. */
  namedBeside(asked: bigint): bigint {
    for (const endLine of this.#restOfLines) endLine();
    for (const rid of this.#named) if (rid !== asked) return rid;
    return asked;
  }

  #take(line: string): void {
    const rid = FENCED_LINE.exec(line)?.[1];
    // A few are enough to tell that it speaks of others.
    if (rid !== undefined && this.#named.size < 2) this.#named.add(BigInt(`0x${rid}`));
  }
}
