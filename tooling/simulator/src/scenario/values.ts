/*
 * Values that tell whether they came back whole: `NAME:N` followed by N times the letter x.
 */

/** The stored form of a value, with so many bytes of padding. */
export function padValue(name: string, paddingBytes: number): string {
  return `${name}:${paddingBytes}${"x".repeat(paddingBytes)}`;
}

/** The name in a stored value, or undefined when it is damaged. */
export function unpadValue(stored: string): string | undefined {
  const match = /^([^:]*):(\d+)(x*)$/.exec(stored);
  const [, name, count, padding] = match ?? [];
  return name === undefined || padding?.length !== Number(count) ? undefined : name;
}
