import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the examples. */
export const EXAMPLES: string = fileURLToPath(new URL("../", import.meta.url));

/** One of the examples, or another program whose whole path is given, as a process of its own. */
export class Child {
  readonly process: ChildProcess;
  #output = "";
  #hasClosed = false;
  #wake: () => void = () => {};

  constructor(example: string, args: readonly string[]) {
    const path = resolve(EXAMPLES, example);
    this.process = spawn(process.execPath, [path, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    this.process.stdout?.on("data", (bytes: Buffer) => {
      this.#output += bytes.toString();
      this.#wake();
    });
    // Its exit may be told before the last of its output has come.
    this.process.once("close", () => {
      this.#hasClosed = true;
      this.#wake();
    });
  }

  /** Everything it has printed. */
  get output(): string {
    return this.#output;
  }

  /** Resolves with the match once its output has one. @throws Error when it ends without. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#output);
      if (match !== null) return match;
      if (this.#hasClosed) throw new Error(`the program ended without ${pattern}: ${this.#output}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Resolves with its exit code. */
  async ended(): Promise<number | null> {
    if (this.process.exitCode === null && this.process.signalCode === null)
      await new Promise((resolve) => this.process.once("exit", resolve));
    return this.process.exitCode;
  }
}
