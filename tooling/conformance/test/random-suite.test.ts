import type { Random } from "@holdfast/environment";
import { randomSuite, settleByWaiting } from "../src/index.ts";

randomSuite("splitmix32 from one seed", () => ({
  random: splitmix32(42),
  settle: settleByWaiting,
  dispose: async () => {},
}));

/** SplitMix with 32-bit state (Steele, Lea and Flood, 2014), enough to show that the suite is fair. */
function splitmix32(seed: number): Random {
  let state = seed;
  return { u32, u64: () => (BigInt(u32()) << 32n) | BigInt(u32()), bytes };

  function u32(): number {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }

  function bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => u32() & 0xff);
  }
}
