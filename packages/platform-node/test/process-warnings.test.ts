import { once } from "node:events";
import { expect, test } from "vitest";
import { processWarnings } from "../src/index.ts";

test("what should be looked at becomes a warning of the process, in one line; all else is dropped", async () => {
  const warned = once(process, "warning");

  processWarnings.debug({ event: "a.b" }, "not said");
  processWarnings.info({ event: "a.b" }, "not said");
  processWarnings.warn(
    { event: "session.dial-failed", address: "tcp://h:1", rid: 5n, err: new Error("no") },
    "server does not answer",
  );

  const [warning] = await warned;
  expect(warning).toMatchObject({
    name: "HoldfastWarning",
    code: "session.dial-failed",
    message: 'server does not answer: address tcp://h:1, rid 5, err "no"',
  });
});
