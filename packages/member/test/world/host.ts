/*
 * One process of a test: the ports of a member, and a switch that kills it between two instructions.
 *
 * A dead process reads and writes nothing more, its timers do not fire, its connections break, and nobody listens at
 * its addresses.
 */
import type {
  BlockDevice,
  ByteStream,
  Cancel,
  Clock,
  Listener,
  Logger,
  Transport,
} from "@holdfast/environment";

/** What hosts share. */
export interface HostPorts {
  readonly device: BlockDevice;
  readonly clock: Clock;
  readonly transport: Transport;
}

/** A line of a member's log. */
export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly facts: { readonly event?: string } & object;
}

/** A process. */
export class Host {
  readonly device: BlockDevice;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly log: Logger;
  readonly lines: LogLine[] = [];
  /** Called with each line, before the member goes on. */
  onLog: (line: LogLine) => void = () => {};
  readonly #streams: Set<ByteStream> = new Set();
  readonly #listeners: Set<Listener> = new Set();
  #isDead = false;

  constructor({ device, clock, transport }: HostPorts) {
    this.device = {
      url: device.url,
      sizeBytes: device.sizeBytes,
      sectorBytes: device.sectorBytes,
      isLocal: device.isLocal,
      read: (offset, into) => this.#whileAlive(() => device.read(offset, into)),
      write: (offset, bytes, options) => this.#whileAlive(() => device.write(offset, bytes, options)),
      flush: () => this.#whileAlive(() => device.flush()),
      close: () => this.#whileAlive(() => device.close()),
    };
    this.clock = {
      now: () => clock.now(),
      wallMs: () => clock.wallMs(),
      at: (deadlineMs, action): Cancel =>
        clock.at(deadlineMs, () => {
          if (!this.#isDead) action();
        }),
      yield: () => this.#whileAlive(() => clock.yield()),
    };
    this.transport = {
      dial: (address) => this.#whileAlive(async () => this.#keep(await transport.dial(address))),
      listen: (address, accept) => this.#whileAlive(() => this.#listen(transport, address, accept)),
    };
    const keep =
      (level: LogLine["level"]) =>
      (facts: object): void => {
        const line = { level, facts };
        this.lines.push(line);
        this.onLog(line);
      };
    this.log = { debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") };
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Names of the events logged so far. */
  get events(): readonly (string | undefined)[] {
    return this.lines.map(({ facts }) => facts.event);
  }

  /** The process dies here and now. */
  kill(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    for (const stream of this.#streams) stream.destroy();
    for (const listener of this.#listeners) void listener.close();
  }

  async #listen(
    transport: Transport,
    address: string,
    accept: (stream: ByteStream) => void,
  ): Promise<Listener> {
    const listener = await transport.listen(address, (stream) => accept(this.#keep(stream)));
    this.#listeners.add(listener);
    return listener;
  }

  #keep(stream: ByteStream): ByteStream {
    this.#streams.add(stream);
    return stream;
  }

  /** The promise never settles once the process is dead. */
  #whileAlive<T>(action: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#isDead) return;
      action().then(
        (value) => {
          if (!this.#isDead) resolve(value);
        },
        (error: unknown) => {
          if (!this.#isDead) reject(error);
        },
      );
    });
  }
}
