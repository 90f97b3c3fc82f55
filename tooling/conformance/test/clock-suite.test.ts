import type { Clock } from "@holdfast/environment";
import { clockSuite, settleByWaiting } from "../src/index.ts";

clockSuite("a list of deadlines", () => {
  let now = 0;
  let armed: { readonly deadlineMs: number; readonly action: () => void }[] = [];
  const clock: Clock = {
    now: () => now,
    wallMs: () => now,
    at(deadlineMs, action) {
      const entry = { deadlineMs: Math.max(deadlineMs, now), action };
      armed.push(entry);
      return () => {
        armed = armed.filter((other) => other !== entry);
      };
    },
    yield: () => new Promise((resolve) => setImmediate(resolve)),
  };
  return { clock, advance, settle: settleByWaiting, dispose: async () => {} };

  async function advance(ms: number): Promise<void> {
    const until = now + ms;
    for (;;) {
      const [next] = armed.toSorted((a, b) => a.deadlineMs - b.deadlineMs);
      if (next === undefined || next.deadlineMs > until) break;
      armed = armed.filter((other) => other !== next);
      now = Math.max(now, next.deadlineMs);
      next.action();
    }
    now = until;
  }
});
