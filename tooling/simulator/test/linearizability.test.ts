import { assert, bigInt, integer, property } from "fast-check";
import { expect, test } from "vitest";
import { checkHistory, checkKey, HistoryBuilder, RandomStream, type History } from "../src/index.ts";

/**
 * A history from a drawing: one line per operation, `CLIENT FUNCTION ARGUMENT…`, with `<` and `>` columns for call and
 * return; a line that ends in `?` never returned.
 */
function drawn(...lines: string[]): History {
  const points: { at: number; add: (builder: HistoryBuilder) => void }[] = [];
  for (const [id, line] of lines.entries()) {
    const [drawing = "", text = ""] = line.split("|");
    const [f = "", argument, result] = text.trim().split(" ");
    const isRead = f === "read";
    const call = { e: "call", id, c: id, f, k: "x", ...argumentsOf(f, argument) } as const;
    points.push({ at: drawing.indexOf("<"), add: (builder) => builder.add(call) });
    const end = drawing.indexOf(">");
    if (end < 0) continue;
    const seen = isRead ? argument : result;
    const out = seen === undefined || seen === "null" ? null : JSON.parse(seen);
    points.push({ at: end, add: (builder) => builder.add({ e: "ok", id, out }) });
  }
  const builder = new HistoryBuilder();
  for (const { add } of points.sort((a, b) => a.at - b.at)) add(builder);
  return builder.finish();
}

function argumentsOf(f: string, argument: string | undefined): { v?: number; old?: number | null } {
  if (f === "write" || f === "add") return { v: Number(argument) };
  if (f !== "cas") return {};
  const [old, v] = (argument ?? "").split(",");
  return { old: old === "null" ? null : Number(old), v: Number(v) };
}

test.each([
  ["a read sees the write before it", ["<>   | write 1", "   <>| read 1"]],
  ["a read that overlaps a write may see it", [" < > | write 1", "<  > | read 1"]],
  ["a read that overlaps a write may miss it", ["<  > | write 1", " <>  | read null"]],
  [
    "two overlapping reads may see the write in either order",
    ["<      > | write 1", " < >     | read 1", "    < > | read 1"],
  ],
  ["a deleted key is absent", ["<>      | write 1", "   <>   | delete", "      <>| read null"]],
  ["a write of unknown outcome may have happened", ["<     | write 1", "  <>  | read 1"]],
  ["a write of unknown outcome may not have happened", ["<     | write 1", "  <>  | read null"]],
  [
    "a write of unknown outcome may happen late",
    ["<        | write 1", "  <>     | read null", "     <>  | read 1"],
  ],
  [
    "an overwritten value may come back if its write was of unknown outcome and seen once",
    ["<          | write 1", " <>        | write 2", "    <>     | read 2", "       <>  | read 1"],
  ],
  ["a cas that matches sets", ["<>       | write 1", "   <>    | cas 1,2 true", "      <> | read 2"]],
  ["a cas of an absent key", ["<>      | cas null,2 true", "   <>   | read 2"]],
  ["an add returns the value after", ["<>       | add 2 2", "   <>    | add 3 5"]],
])("linearizable: %s", (_, lines) => {
  expect(checkHistory(drawn(...lines))).toEqual([]);
});

test.each([
  ["an acknowledged write is lost", ["<>   | write 1", "   <>| read null"]],
  ["a read goes back to the past", ["<>      | write 1", "   <>   | write 2", "      <>| read 1"]],
  [
    "two reads in order see two writes out of order",
    ["<>          | write 1", "   <       >| write 2", "    <>      | read 2", "       <>   | read 1"],
  ],
  ["a value that nobody wrote", ["<>   | write 1", "   <>| read 3"]],
  ["a deleted value is seen", ["<>      | write 1", "   <>   | delete", "      <>| read 1"]],
  ["a value is seen before its write of unknown outcome was called", ["<>    | read 1", "   <  | write 1"]],
  [
    "a write of unknown outcome undoes itself",
    ["<>          | write 1", " <          | write 2", "   <>       | read 2", "      <>    | read 1"],
  ],
  ["a cas succeeds twice", ["<>     | write 1", "   < > | cas 1,2 true", "   < > | cas 1,3 true"]],
  ["an add is counted twice", ["<>       | add 2 2", "   <>    | add 3 8"]],
])("not linearizable: %s", (_, lines) => {
  expect(checkHistory(drawn(...lines))).toMatchObject([{ key: "x", verdict: { type: "violation" } }]);
});

test("a violation names the operation that fits nowhere and the value it met", () => {
  const complaints = checkHistory(drawn("<>       | write 1", "   <>    | write 2", "      <> | read 1"));

  expect(complaints).toMatchObject([
    { key: "x", verdict: { operation: { id: 2, f: "read" }, state: 2, placedCount: 2 } },
  ]);
});

test("each key is judged alone", () => {
  const builder = new HistoryBuilder();
  builder.add({ e: "call", id: 1, c: 1, f: "write", k: "good", v: 1 });
  builder.add({ e: "ok", id: 1 });
  builder.add({ e: "call", id: 2, c: 1, f: "read", k: "bad" });
  builder.add({ e: "ok", id: 2, out: 1 });

  expect(checkHistory(builder.finish()).map(({ key }) => key)).toEqual(["bad"]);
});

test("a search that takes too long says that nobody knows", () => {
  const { operations } = drawn("<  > | write 1", "<  > | write 2", "<  > | write 3", "    <>| read 9");

  expect(checkKey(operations, 3)).toEqual({ type: "unknown", stepCount: 3 });
});

/**
 * A history of concurrent clients on a real register: each operation takes effect at one moment inside its span. If
 * damaged, one read in the middle returns a value that a whole later write had replaced before the read was called.
 */
function registerHistory(seed: bigint, steps: number, isDamaged: boolean): History {
  const random = new RandomStream(seed, "register");
  const builder = new HistoryBuilder();
  const clients = Array.from({ length: 5 }, () => ({ phase: 0, id: 0, isRead: false, out: 0, past: 0 }));
  const completed = new Set<number>();
  let value = 0;
  let dead = 0;
  let idCount = 0;
  let hasDamage = !isDamaged;
  for (let step = 0; step < steps; step++) {
    const index = random.between(0, clients.length - 1);
    const client = clients[index];
    if (client === undefined) continue;
    if (client.phase === 0) {
      idCount += 1;
      client.id = idCount;
      client.isRead = random.chance(0.5);
      // Of a read: what must not be seen any more. Of a write: what nobody may see once it has returned.
      client.past = client.isRead ? dead : completed.has(value) ? value : 0;
      const call = { e: "call", id: idCount, c: index, k: "x" } as const;
      builder.add(client.isRead ? { ...call, f: "read" } : { ...call, f: "write", v: idCount });
    } else if (client.phase === 1) {
      if (client.isRead) client.out = value;
      else value = client.id;
    } else if (client.isRead) {
      const isStale = !hasDamage && client.past !== 0 && step > steps / 2;
      if (isStale) hasDamage = true;
      const seen = isStale ? client.past : client.out;
      builder.add({ e: "ok", id: client.id, out: seen === 0 ? null : seen });
    } else {
      builder.add({ e: "ok", id: client.id, out: null });
      completed.add(client.id);
      if (client.past !== 0) dead = client.past;
    }
    client.phase = (client.phase + 1) % 3;
  }
  expect(hasDamage).toBe(true);
  return builder.finish();
}

test("histories of a real register are linearizable, whatever their interleaving", () => {
  assert(
    property(bigInt({ min: 0n, max: (1n << 64n) - 1n }), integer({ min: 1, max: 400 }), (seed, steps) => {
      expect(checkHistory(registerHistory(seed, steps, false))).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test("a long history is judged in far fewer steps than its square", () => {
  const history = registerHistory(5n, 15_000, false);

  expect(checkHistory(history, 100_000)).toEqual([]);
});

test("one stale read in a long history is found", () => {
  const found = [1n, 2n, 3n, 4n, 5n].map((seed) => checkHistory(registerHistory(seed, 2000, true)));

  for (const complaints of found) expect(complaints).toMatchObject([{ verdict: { type: "violation" } }]);
});
