/** The input in up to four pieces, as a network delivers it. */
export function chunksOf(input: Uint8Array, entropy: number): readonly Uint8Array[] {
  const cuts = [entropy & 0xff, (entropy >>> 8) & 0xff, (entropy >>> 16) & 0xff]
    .slice(0, entropy >>> 30)
    .map((cut) => Math.floor((cut * input.length) / 256))
    .toSorted((a, b) => a - b);
  const edges = [0, ...cuts, input.length];
  return edges.slice(1).map((end, index) => input.subarray(edges[index], end));
}

/** Bytes that mean nothing. */
export function garbage(): Uint8Array {
  return Uint8Array.from({ length: 300 }, (_, index) => Math.imul(index + 1, 0x9e37_79b1) >>> 24);
}

/** All parts, one behind the other. */
export function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
