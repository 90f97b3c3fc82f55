import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Asked, Client, Link, Server, bytesOf, text } from "./rig.ts";

/*
 * One member, a row of servers, and a network that cuts, delays, delivers late from connections already given up,
 * and lets the member dial again while the old connection still seems alive.
 */
type Step =
  | { readonly type: "ask"; readonly bytes: number }
  | { readonly type: "cancel"; readonly which: number }
  | { readonly type: "invalidate" }
  | { readonly type: "to-server" | "to-client"; readonly which: number; readonly bytes: number }
  | { readonly type: "answer-server" | "answer-client"; readonly which: number }
  | { readonly type: "cut" | "redial" | "lull" | "new-server" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("ask" as const), bytes: fc.nat(6000) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("cancel" as const), which: fc.nat(50) }) },
  { weight: 3, arbitrary: fc.constant({ type: "invalidate" as const }) },
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constantFrom("to-server" as const, "to-client" as const),
      which: fc.nat(3),
      bytes: fc.integer({ min: 1, max: 8000 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constantFrom("answer-server" as const, "answer-client" as const),
      which: fc.nat(50),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constantFrom("cut" as const, "redial" as const, "lull" as const) }),
  },
  { weight: 1, arbitrary: fc.constant({ type: "new-server" as const }) },
);

/** Soon reached, so that frames wait in most runs; more than a chunk, which stays until its requests are answered. */
const limits = { outboxBusyBytes: 20_000 };

class World {
  readonly client = new Client(5n, { limits });
  readonly servers: Server[] = [];
  readonly links: Link[] = [];
  readonly answered: Map<number, number> = new Map();
  readonly cancelled: Set<number> = new Set();
  readonly cancels: ((() => void) | undefined)[] = [];
  readonly invalidated: Map<number, number>[] = [];
  #asks = 0;
  #invalidations = 0;
  invalidationsOfLast = 0;
  /** Frames of either side had to wait for the other to take something. */
  hasWaited = false;
  readonly #done: WeakSet<Asked> = new WeakSet();

  constructor() {
    this.client.isEcho = false;
    this.newServer();
    this.redial();
  }

  get server(): Server {
    const server = this.servers.at(-1);
    if (server === undefined) throw new Error("there is always a server");
    return server;
  }

  run(step: Step): void {
    switch (step.type) {
      case "ask":
        return this.ask(step.bytes);
      case "cancel":
        return this.cancel(step.which % Math.max(1, this.#asks));
      case "invalidate":
        return this.invalidate();
      case "to-server":
        return this.links.at(-1 - step.which)?.feedServer(step.bytes);
      case "to-client":
        return this.links.at(-1 - step.which)?.feedClient(step.bytes);
      case "answer-server":
        return void this.answer(this.server.asked, step.which);
      case "answer-client":
        return void this.answer(this.client.asked, step.which);
      case "cut":
        this.links.at(-1)?.cut();
        return this.redial();
      case "redial":
        return this.redial();
      case "lull":
        // Whoever has nothing to say gives memory back.
        return this.links.at(-1)?.beat();
      case "new-server":
        return this.newServer();
    }
  }

  ask(bytes: number): void {
    const number = this.#asks;
    this.#asks += 1;
    const cancel = this.client.machine.call(1, bytesOf(`${number} ${"x".repeat(bytes)}`), (error, body) => {
      this.answered.set(number, (this.answered.get(number) ?? 0) + 1);
      expect([error, text(body)]).toEqual([0, `answer ${number}`]);
    });
    this.cancels[number] = cancel;
  }

  cancel(number: number): void {
    if (this.answered.has(number) || this.cancels[number] === undefined) return;
    this.cancelled.add(number);
    this.cancels[number]();
  }

  invalidate(): void {
    const number = this.#invalidations;
    const answers = this.invalidated[this.servers.length - 1];
    this.#invalidations += 1;
    const cancel = this.server.machine.call(
      5n,
      2,
      bytesOf(`${number} ${"y".repeat(4000)}`),
      (error, body) => {
        expect([error, text(body)]).toEqual([0, `answer ${number}`]);
        answers?.set(number, (answers.get(number) ?? 0) + 1);
      },
    );
    if (cancel !== undefined) this.invalidationsOfLast += 1;
  }

  redial(): void {
    this.links.at(-1)?.leave();
    this.links.push(new Link(this.client, this.server));
  }

  newServer(): void {
    const server = new Server(BigInt(this.servers.length + 1), { limits });
    server.isEcho = false;
    this.servers.push(server);
    this.invalidated.push(new Map());
    this.invalidationsOfLast = 0;
  }

  /** The network behaves, everybody answers. */
  heal(): void {
    if (this.links.at(-1)?.server !== this.server) this.redial();
    const link = this.links.at(-1);
    for (let round = 0; round < 20; round += 1) {
      link?.pump();
      link?.beat();
      while (this.answer(this.server.asked, 0));
      while (this.answer(this.client.asked, 0));
    }
    link?.pump();
  }

  /** Answers one of the requests not answered yet, the `which`th; false if there is none. */
  answer(asked: readonly Asked[], which: number): boolean {
    const open = asked.filter((request) => !this.#done.has(request));
    const request = open[which % Math.max(1, open.length)];
    if (request === undefined) return false;
    this.#done.add(request);
    request.respond(0, bytesOf(`answer ${numberOf(request)}`));
    return true;
  }

  noteWaiting(): void {
    const { waitingBytes } = this.client.machine.session;
    if (waitingBytes + this.server.machine.counts().waitingBytes > 0) this.hasWaited = true;
  }

  get wanted(): number[] {
    return Array.from({ length: this.#asks }, (_, number) => number).filter(
      (number) => !this.cancelled.has(number),
    );
  }
}

function numberOf({ body }: Asked): number {
  return Number(body.slice(0, body.indexOf(" ")));
}

function isRising(numbers: readonly number[]): boolean {
  return numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0));
}

test("whatever the network does, each call is answered once, and no server processes a request twice or out of order", () => {
  let runsWithWaiting = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: "max" }), (steps) => {
      const world = new World();

      for (const one of steps) {
        world.run(one);
        world.noteWaiting();
      }
      world.heal();

      expect([...world.answered.keys()].sort((a, b) => a - b)).toEqual(world.wanted);
      expect([...world.answered.values()].every((count) => count === 1)).toBe(true);
      for (const server of world.servers) expect(isRising(server.asked.map(numberOf))).toBe(true);
      expect(isRising(world.client.asked.map(numberOf))).toBe(true);
      for (const answers of world.invalidated)
        expect([...answers.values()].every((count) => count === 1)).toBe(true);
      expect(world.invalidated.at(-1)?.size).toBe(world.invalidationsOfLast);
      expect(world.client.machine.session.pendingCount).toBe(0);
      expect(world.client.machine.session.waitingBytes).toBe(0);
      runsWithWaiting += world.hasWaited ? 1 : 0;
    }),
    { numRuns: 400, ...(process.env["SEED"] === undefined ? {} : { seed: Number(process.env["SEED"]) }) },
  );
  expect(runsWithWaiting).toBeGreaterThan(0);
});
