/*
 * Exactly once across servers: a request keeps its id wherever it is sent, so servers that store each result together
 * with its effect answer it again instead of doing it again. The judge is a list: every append is in it once, in order.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { cutReason } from "../src/index.ts";
import { Client, Link, Server, bytesOf, text } from "./rig.ts";

/** What all servers of a row commit to: effects, and the results of those that the member may still ask for. */
class Volume {
  readonly list: number[] = [];
  readonly results: Map<number, string> = new Map();

  /** Appends once, whoever asks how often; `settledId` are the results that nobody asks for any more. */
  append(id: number, number: number, settledId: number): string {
    for (const old of this.results.keys()) if (old <= settledId) this.results.delete(old);
    const known = this.results.get(id);
    if (known !== undefined) return known;
    this.list.push(number);
    const result = `${number} at ${this.list.length - 1}`;
    this.results.set(id, result);
    return result;
  }
}

type Step =
  | { readonly type: "append"; readonly bytes: number }
  | { readonly type: "cancel"; readonly which: number }
  | { readonly type: "to-server" | "to-client"; readonly bytes: number }
  | { readonly type: "late"; readonly which: number }
  | { readonly type: "cut" | "redial" | "new-server" };

const bytes = fc.integer({ min: 1, max: 3000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("append" as const), bytes: fc.nat(1500) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("cancel" as const), which: fc.nat(20) }) },
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constantFrom("to-server" as const, "to-client" as const), bytes }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("late" as const), which: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom("cut" as const, "redial" as const) }) },
  { weight: 1, arbitrary: fc.constant({ type: "new-server" as const }) },
);

class World {
  readonly volume: Volume = new Volume();
  readonly client: Client = new Client(5n);
  readonly answers: Map<number, string[]> = new Map();
  readonly cancelled: Set<number> = new Set();
  readonly #cancels: ((() => void) | undefined)[] = [];
  readonly #links: Link[] = [];
  #term = 0n;
  #server = this.#newServer();

  constructor() {
    this.#redial();
  }

  get appendsCount(): number {
    return this.#cancels.length;
  }

  run(one: Step): void {
    const link = this.#links.at(-1);
    switch (one.type) {
      case "append":
        return this.append(one.bytes);
      case "cancel":
        return this.#cancel(one.which % Math.max(1, this.appendsCount));
      case "to-server":
        return link?.feedServer(one.bytes);
      case "to-client":
        return link?.feedClient(one.bytes);
      case "late":
        return this.#deliverAgain(this.#links.at(-2 - one.which));
      case "cut":
        link?.cut();
        return this.#redial();
      case "redial":
        return this.#redial();
      case "new-server":
        this.#server = this.#newServer();
    }
  }

  append(bodyBytes: number): void {
    const number = this.appendsCount;
    const answers: string[] = [];
    this.answers.set(number, answers);
    const body = bytesOf(`${number} ${this.client.machine.session.settledId} ${"x".repeat(bodyBytes)}`);
    this.#cancels.push(
      this.client.machine.call(1, body, (error, answer) => answers.push(`${error} ${text(answer)}`)),
    );
  }

  heal(): void {
    this.#redial();
    this.#links.at(-1)?.pump();
  }

  #cancel(number: number): void {
    if (this.answers.get(number)?.length !== 0) return;
    this.cancelled.add(number);
    this.#cancels[number]?.();
  }

  /** A connection that was given up brings what it held, twice; one that nobody followed yet is cut for that. */
  #deliverAgain(link: Link | undefined): void {
    if (link === undefined) return;
    const held = link.toServer.slice();
    link.feedServer();
    link.toServer = held;
    try {
      link.feedServer();
    } catch (error) {
      expect(["command", "sequence", "garbage"]).toContain(cutReason(error));
      link.cut();
    }
    link.feedClient();
  }

  #redial(): void {
    this.#links.at(-1)?.leave();
    this.#links.push(new Link(this.client, this.#server));
  }

  /** A superseded server commits nothing any more: that is what fences are for. */
  #newServer(): Server {
    this.#term += 1n;
    const term = this.#term;
    const server = new Server(term);
    server.isEcho = false;
    server.answer = (id, body) => {
      const [number, settledId] = body.split(" ", 2).map(Number);
      if (term !== this.#term || number === undefined || settledId === undefined) return undefined;
      return this.volume.append(id, number, settledId);
    };
    return server;
  }
}

test("M1, M2, N29: whatever the network does and whoever serves, each effect happens once, in order, and each caller gets its result once", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: "max" }), (steps) => {
      const world = new World();
      for (const one of steps) world.run(one);
      world.heal();
      const { list, results } = world.volume;

      const wanted = Array.from({ length: world.appendsCount }, (_, number) => number);
      const mustBeThere = wanted.filter((number) => !world.cancelled.has(number));
      expect(list.filter((number) => !world.cancelled.has(number))).toEqual(mustBeThere);
      expect(list).toEqual([...new Set(list)].sort((a, b) => a - b));
      for (const number of mustBeThere)
        expect(world.answers.get(number)).toEqual([`0 ${number} at ${list.indexOf(number)}`]);
      for (const number of world.cancelled) expect(world.answers.get(number)).toEqual([]);

      world.append(0);
      world.heal();
      expect(results.size).toBe(1);
    }),
    { numRuns: 200, ...(process.env["SEED"] === undefined ? {} : { seed: Number(process.env["SEED"]) }) },
  );
});

test("M1: a request has the same id at each server, and no other request ever has it", () => {
  const client = new Client(5n);
  const servers = [1n, 2n, 3n].map((term) => new Server(term));
  for (const server of servers) {
    server.isEcho = false;
    client.ask(`asked in term ${server.machine.sessionsCount + servers.indexOf(server) + 1}`);
    new Link(client, server).pump().cut();
  }

  expect(servers.map(({ asked }) => asked.map(({ id, body }) => `${id} ${body}`))).toEqual([
    ["1 asked in term 1"],
    ["1 asked in term 1", "2 asked in term 2"],
    ["1 asked in term 1", "2 asked in term 2", "3 asked in term 3"],
  ]);
});

test("M3: results are settled from the oldest on: one that is missing keeps all after it", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  server.isEcho = false;
  const { session } = client.machine;
  const link = new Link(client, server).pump();
  for (const body of ["a", "b", "c", "d"]) client.ask(body);
  link.pump();
  expect(session.settledId).toBe(0);

  server.asked[1]?.respond(0, bytesOf(""));
  server.asked[2]?.respond(0, bytesOf(""));
  link.pump();
  expect(session.settledId).toBe(0);
  server.asked[0]?.respond(0, bytesOf(""));
  link.pump();

  expect(session.settledId).toBe(3);
});

test("M3: a cancelled request is settled by its answer, or by another server that is never asked", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  old.isEcho = false;
  const { session } = client.machine;
  const link = new Link(client, old).pump();
  const cancels = [client.ask("a"), client.ask("b")];
  link.pump();
  for (const cancel of cancels) cancel?.();
  expect(session.settledId).toBe(0);

  old.asked[0]?.respond(0, bytesOf(""));
  link.pump();
  expect(session.settledId).toBe(1);
  link.cut();
  new Link(client, next).pump();

  expect(session.settledId).toBe(2);
  expect(next.bodies).toEqual([]);
});

test("M4: a reconnect says what each side has received, and only the rest is sent again", () => {
  const [client, server] = [new Client(5n), new Server(1n)];
  const link = new Link(client, server).pump();
  for (const body of ["a", "b", "c"]) client.ask(body);
  link.pump();
  for (const body of ["d", "e"]) client.ask(body);
  link.collect();
  link.feedServer();
  link.cut();

  const next = new Link(client, server);
  next.feedClient();
  next.feedServer();
  client.ask("f");
  next.pump();

  expect(server.bodies).toEqual(["a", "b", "c", "d", "e", "f"]);
  expect(client.answers).toHaveLength(6);
  expect(client.machine.session.pendingCount).toBe(0);
});

test("M5: a call to a member is aborted with its server; the next one calls again if it still means it", () => {
  const client = new Client(5n);
  const [old, next] = [new Server(1n), new Server(2n)];
  client.isEcho = false;
  const link = new Link(client, old).pump();
  const told: string[] = [];
  old.machine.call(5n, 2, bytesOf("invalidate 7"), (error) => told.push(`old ${error}`));
  link.pump();
  old.machine.close();
  link.cut();
  const second = new Link(client, next).pump();
  next.machine.call(5n, 2, bytesOf("invalidate 7"), (error) => told.push(`next ${error}`));
  second.pump();

  for (const { respond } of client.asked) respond(0, bytesOf(""));
  second.pump();

  expect(client.asked.map(({ body }) => body)).toEqual(["invalidate 7", "invalidate 7"]);
  expect(told).toEqual(["old 65281", "next 0"]);
});

test("M6: each member's requests are handled in its order, whatever the others do in between", () => {
  const server = new Server(1n);
  const links = [5n, 6n, 7n].map((rid) => new Link(new Client(rid), server).pump());

  for (let number = 0; number < 30; number += 1) {
    const link = links[number % 3];
    link?.client.ask(`${number}`);
    if (number % 4 === 0) link?.pump();
  }
  for (const link of links.toReversed()) link.pump();

  for (const rid of [5n, 6n, 7n]) {
    const numbers = server.asked.filter((asked) => asked.rid === rid).map(({ body }) => Number(body));
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(numbers).toHaveLength(10);
  }
});
