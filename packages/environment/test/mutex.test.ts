import { expect, test } from "vitest";
import { deferred, Mutex } from "../src/index.ts";

test("a mutex runs tasks one after another in the order they were given", async () => {
  const mutex = new Mutex();
  const first = deferred<void>();
  const order: string[] = [];

  const one = mutex.run(async () => {
    order.push("one begins");
    await first.promise;
    order.push("one ends");
  });
  const two = mutex.run(() => {
    order.push("two");
    return Promise.resolve();
  });
  first.resolve();
  await Promise.all([one, two]);

  expect(order).toEqual(["one begins", "one ends", "two"]);
});

test("a task that fails rejects its own caller and does not stop the next", async () => {
  const mutex = new Mutex();

  const failing = mutex.run(() => Promise.reject(new Error("broken")));
  const next = mutex.run(() => Promise.resolve("done"));

  await expect(failing).rejects.toThrow("broken");
  await expect(next).resolves.toBe("done");
});
