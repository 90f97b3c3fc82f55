import { UsageError } from "./exit-codes.ts";

const UNITS: ReadonlyMap<string, bigint> = new Map([
  ["", 1n],
  ["K", 1n << 10n],
  ["M", 1n << 20n],
  ["G", 1n << 30n],
  ["T", 1n << 40n],
]);

/** Bytes of `256M`, `1G`, `1048576`; K, M, G and T are powers of 1024, `iB` and `B` behind them are ignored. */
export function parseSize(text: string): bigint {
  const match = /^(\d+)([KMGT]?)(?:i?B)?$/i.exec(text);
  const unit = UNITS.get(match?.[2]?.toUpperCase() ?? "");
  if (match?.[1] === undefined || unit === undefined) {
    throw new UsageError(`"${text}" is not a size: write 256M, 4G or a number of bytes`);
  }
  const bytes = BigInt(match[1]) * unit;
  return bytes - (bytes % 4096n);
}

/** `1.5 GiB` and the like. */
export function formatSize(bytes: bigint): string {
  let [value, unit] = [Number(bytes), "B"];
  for (const next of ["KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024) break;
    [value, unit] = [value / 1024, next];
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
}

/** A whole number in a range. */
export function parseCount(
  name: string,
  text: string,
  bounds: { readonly least: number; readonly most: number },
): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < bounds.least || value > bounds.most) {
    throw new UsageError(`${name} must be a number from ${bounds.least} to ${bounds.most}, not "${text}"`);
  }
  return value;
}

/** An identity as the status prints it: 16 hexadecimal digits, or fewer. */
export function parseIdentity(name: string, text: string): bigint {
  if (!/^[0-9a-f]{1,16}$/i.test(text))
    throw new UsageError(`${name} takes identities of up to 16 hexadecimal digits, not "${text}"`);
  return BigInt(`0x${text}`);
}
