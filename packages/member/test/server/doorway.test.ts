import type { ByteStream } from "@holdfast/environment";
import { expect, test } from "vitest";
import { Doorway } from "../../src/server/doorway.ts";
import { ManualClock, MemoryNetwork } from "@holdfast/memory-ports";

function fixture(): { clock: ManualClock; network: MemoryNetwork } {
  const clock = new ManualClock();
  return { clock, network: new MemoryNetwork(clock) };
}

/** Dials and tells whether the other side hung up. */
async function dial(network: MemoryNetwork, clock: ManualClock, address: string): Promise<boolean> {
  let isClosed = false;
  const stream = await network.dial(address);
  const closed = (): void => {
    isClosed = true;
  };
  stream.start({ data: () => {}, closed, drained: () => {} });
  await clock.advance(10);
  return isClosed;
}

test("whoever comes while nobody serves is shown the door; while somebody serves he is let in", async () => {
  const { clock, network } = fixture();
  const doorway = await Doorway.open(network, "memory:door");
  const guests: ByteStream[] = [];
  expect(await dial(network, clock, "memory:door")).toBe(true);

  const listener = await doorway.transport.listen("memory:elsewhere", (stream) => guests.push(stream));
  expect(listener.address).toBe("memory:door");
  expect(await dial(network, clock, "memory:door")).toBe(false);
  await listener.close();
  await listener.close();

  expect(await dial(network, clock, "memory:door")).toBe(true);
  expect(guests).toHaveLength(1);
});

test("one server after another serves at one address, and a late close of the first takes nothing from the second", async () => {
  const { clock, network } = fixture();
  const doorway = await Doorway.open(network, "memory:door");
  const first = await doorway.transport.listen("", () => {});
  await expect(doorway.transport.listen("", () => {})).rejects.toThrow("one server answers at a time");
  await first.close();

  await doorway.transport.listen("", () => {});
  await first.close();

  expect(await dial(network, clock, "memory:door")).toBe(false);
});

test("a doorway that is closed gives its address up", async () => {
  const { network } = fixture();
  const doorway = await Doorway.open(network, "memory:door");
  await expect(Doorway.open(network, "memory:door")).rejects.toMatchObject({
    code: "ERR_HOLDFAST_ADDRESS_IN_USE",
  });

  await doorway.close();

  const again = await Doorway.open(network, "memory:door");
  expect(again.address).toBe("memory:door");
});

test("dialling goes through the door without a stop", async () => {
  const { network } = fixture();
  const doorway = await Doorway.open(network, "memory:door");

  await expect(doorway.transport.dial("memory:nobody")).rejects.toMatchObject({ code: "ERR_HOLDFAST_DIAL" });
  const stream = await doorway.transport.dial("memory:door");
  expect(stream.peer).toBe("memory:door");
});
