/*
 * The event loop of one process, which a test can block: as a long computation does, not as SIGSTOP does.
 *
 * While it is blocked no code of the process runs. What the process had submitted goes on without it: its writes land, its bytes
 * travel, its host accepts connections and takes what comes on them. All of that it learns when it goes on: first the timers
 * that fell due meanwhile, then whatever was completed.
 */
import type { BlockDevice, ByteStream, Cancel, Clock, Transport } from "@holdfast/environment";
import { settle } from "@holdfast/memory-ports";
import type { HostPorts } from "./host.ts";

type Phase = "timers" | "poll";

/** Everything that reaches code of a process comes through here. */
export class EventLoop {
  readonly #waiting: Readonly<Record<Phase, (() => void)[]>> = { timers: [], poll: [] };
  #isBlocked = false;

  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Callbacks that wait until it goes on. */
  get waitingCount(): number {
    return this.#waiting.timers.length + this.#waiting.poll.length;
  }

  /** From the next callback on it is blocked. */
  block(): void {
    this.#isBlocked = true;
  }

  /** It goes on; resolves when all that waited has had its turn. */
  async unblock(): Promise<void> {
    const { timers, poll } = this.#waiting;
    for (;;) {
      const next = timers.shift() ?? poll.shift();
      if (next === undefined) break;
      next();
      await settle();
    }
    this.#isBlocked = false;
  }

  /** The ports of the process. */
  gate({ device, clock, transport }: HostPorts): HostPorts {
    return { device: this.#device(device), clock: this.#clock(clock), transport: this.#transport(transport) };
  }

  #enter(phase: Phase, action: () => void): void {
    if (this.#isBlocked) this.#waiting[phase].push(action);
    else action();
  }

  /** The outcome is learnt when the loop has its turn. */
  #learnt<T>(outcome: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      outcome.then(
        (value) => this.#enter("poll", () => resolve(value)),
        (error: unknown) => this.#enter("poll", () => reject(error)),
      );
    });
  }

  #device(device: BlockDevice): BlockDevice {
    const { url, sizeBytes, sectorBytes, isLocal } = device;
    return {
      url,
      sizeBytes,
      sectorBytes,
      isLocal,
      read: (offset, into) => this.#learnt(device.read(offset, into)),
      write: (offset, bytes, options) => this.#learnt(device.write(offset, bytes, options)),
      flush: () => this.#learnt(device.flush()),
      close: () => this.#learnt(device.close()),
    };
  }

  #clock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      wallMs: () => clock.wallMs(),
      at: (deadlineMs, action): Cancel => {
        let isCancelled = false;
        const cancel = clock.at(deadlineMs, () =>
          this.#enter("timers", () => {
            if (!isCancelled) action();
          }),
        );
        return () => {
          isCancelled = true;
          cancel();
        };
      },
      yield: () => this.#learnt(clock.yield()),
    };
  }

  #transport(transport: Transport): Transport {
    return {
      dial: async (address) => this.#stream(await this.#learnt(transport.dial(address))),
      listen: (address, accept) =>
        this.#learnt(
          transport.listen(address, (stream) => this.#enter("poll", () => accept(this.#stream(stream)))),
        ),
    };
  }

  #stream(stream: ByteStream): ByteStream {
    return {
      peer: stream.peer,
      queuedBytes: 0,
      start: (handlers) =>
        stream.start({
          data: (bytes) => {
            const kept = this.#isBlocked ? bytes.slice() : bytes;
            this.#enter("poll", () => handlers.data(kept));
          },
          closed: (error) => this.#enter("poll", () => handlers.closed(error)),
          drained: () => this.#enter("poll", () => handlers.drained()),
        }),
      write: (bytes) => stream.write(bytes),
      close: () => stream.close(),
      destroy: () => stream.destroy(),
    };
  }
}
