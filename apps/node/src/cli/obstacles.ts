/*
 * Why a command that becomes a member finds no server: the last of the warnings of its membership that says so.
 */
import type { Logger } from "@holdfast/environment";

/** A log that keeps what stands in the way, for the error that ends the wait. */
export class Obstacles implements Logger {
  readonly #url: string;
  #latest: string | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  /** For people; undefined: nothing is known. */
  get latest(): string | undefined {
    return this.#latest;
  }

  debug(): void {}

  info(): void {}

  error(): void {}

  warn(facts: object): void {
    this.#latest = this.#obstacleOf(facts) ?? this.#latest;
  }

  #obstacleOf(facts: object): string | undefined {
    const { event, missing, votes, refusal, isProven, address, err } = facts as Readonly<
      Record<string, unknown>
    >;
    switch (event) {
      case "election.short-of-votes":
        return `${String(votes)} voters must agree before one serves, and ${String(missing)} was there, this command included: start more members, or lower the number with "holdfast tune ${this.#url} --votes 1 --offline"`;
      case "session.refused":
        if (isProven === true) return `the server does not let this command in now (${String(refusal)})`;
        return `whoever answers at the server's address refused this command (${String(refusal)}): it serves another volume, or the key on this device is not that of the server`;
      case "session.dial-failed":
        return `nobody answers at ${String(address)}, where the last server said that it is`;
      case "session.find-failed":
        return `the device does not tell where the server is: ${err instanceof Error ? err.message : String(err)}`;
      default:
        return undefined;
    }
  }
}
