/*
 * Numbers that look random and are the same in every run, so that all sides get the same work.
 */

/** A source of 32-bit numbers: mulberry32 (Tommy Ettinger, public domain). Not for keys. */
export function seededNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** Bytes from such a source. */
export function seededBytes(next: () => number, count: number): Buffer {
  const bytes = Buffer.allocUnsafe(count);
  for (let index = 0; index < count; index += 1) bytes[index] = next() >>> 24;
  return bytes;
}

/** The numbers 0 … count − 1 in a shuffled order (Fisher and Yates). */
export function shuffled(next: () => number, count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index -= 1) {
    const other = next() % (index + 1);
    const [a, b] = [order[index] ?? 0, order[other] ?? 0];
    order[index] = b;
    order[other] = a;
  }
  return order;
}
