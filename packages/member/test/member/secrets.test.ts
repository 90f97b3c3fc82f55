/*
 * What the log and the errors of members never say.
 */
import { createHash } from "node:crypto";
import { type Logger, utf8 } from "@holdfast/environment";
import { expect, test } from "vitest";
import { readSuper, VOLUME_FORMAT_HASH } from "../../src/index.ts";
import { MemberWorld, textOf } from "../world/member-world.ts";

/** Words that occur in user data alone. */
const KEY_WORD = "keyringer";
const VALUE_WORD = "valuables";

/** Everything that was logged, at any level, with whatever errors carry. */
class Records implements Logger {
  readonly lines: string[] = [];

  debug = (facts: object, message: string): void => this.#take(facts, message);
  info = (facts: object, message: string): void => this.#take(facts, message);
  warn = (facts: object, message: string): void => this.#take(facts, message);
  error = (facts: object, message: string): void => this.#take(facts, message);

  #take(facts: object, message: string): void {
    this.lines.push(`${message} ${told(facts)}`);
  }
}

test("neither keys nor values nor the volume's secret reach the log or an error, whatever fails", async () => {
  const world = await MemberWorld.format();
  const { superBlock } = await readSuper(world.device, VOLUME_FORMAT_HASH);
  const log = new Records();
  const [first, second] = [await world.open({ log }), await world.open({ log })];
  const [one, two] = [await first.member.dataset(), await second.member.dataset()];
  for (let index = 0; index < 20; index += 1)
    await world.finish((index % 2 === 0 ? one : two).put(`${KEY_WORD}-${index}`, `${VALUE_WORD}-${index}`));
  expect(textOf(await world.finish(one.get(`${KEY_WORD}-1`)))).toBe(`${VALUE_WORD}-1`);

  const errors: unknown[] = [];
  const failing = async (attempt: () => Promise<unknown>): Promise<void> => {
    const attempted = Promise.resolve().then(attempt);
    await world.finish(attempted.catch((error: unknown) => errors.push(error)));
  };
  await failing(() => one.put(KEY_WORD, `${VALUE_WORD} ${"x".repeat(2_000_000)}`));
  await failing(() => one.put("", VALUE_WORD));
  world.network.cut();
  world.device.onWrite = () => {
    throw new Error("bad sector");
  };
  const pending = [one, two].map((data) => failing(() => data.put(KEY_WORD, VALUE_WORD)));
  await world.clock.advance(5000);
  world.device.onWrite = () => {};
  await Promise.all(pending);

  const said = [...log.lines, ...errors.map(told), ...[...first.losses, ...second.losses].map(told)].join(
    "\n",
  );
  expect(errors.length + first.losses.length + second.losses.length).toBeGreaterThan(3);
  expect(log.lines.length).toBeGreaterThan(10);
  expect(formsOf(utf8.encode(KEY_WORD)).filter((form) => said.includes(form))).toEqual([]);
  expect(formsOf(utf8.encode(VALUE_WORD)).filter((form) => said.includes(form))).toEqual([]);
  expect(formsOf(superBlock.key).filter((form) => said.includes(form))).toEqual([]);
});

/** Bytes as a log might show them. */
function formsOf(bytes: Uint8Array): readonly string[] {
  const buffer = Buffer.from(bytes);
  const sha = createHash("sha256").update(bytes).digest("hex");
  return [
    buffer.toString("latin1"),
    buffer.toString("hex"),
    buffer.toString("base64"),
    [...bytes].join(","),
    sha,
  ];
}

/** All that facts and errors carry, to the last cause. */
function told(value: unknown): string {
  if (value instanceof Uint8Array) return formsOf(value).join(" ");
  if (value instanceof Error)
    return `${value.stack} ${told(Object.fromEntries(Object.entries(value)))} ${value.cause === undefined ? "" : told(value.cause)}`;
  if (typeof value === "object" && value !== null)
    return Object.entries(value)
      .map(([name, part]) => `${name}=${told(part)}`)
      .join(" ");
  return String(value);
}
