/*
 * Does the reads and writes that the machines of `@holdfast/quorum` ask for.
 *
 * Every write is durable before it is reported. A range that cannot be read is read again block by block, so that one
 * bad sector does not hide its neighbours.
 */
import {
  BLOCK_BYTES,
  type BlockDevice,
  type Clock,
  DeviceError,
  type Logger,
  type Random,
  blockOffset,
  invariant,
  sleep,
} from "@holdfast/environment";
import type { BlockRange, BlocksRead, IoEffect, IoEvent, ReadBlocks, WriteBlock } from "../block-reading.ts";
import type { Check, CheckOutcome } from "../check.ts";

/** What elections and commits need of the world. */
export interface QuorumPorts {
  readonly device: BlockDevice;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** The ports that reading and writing need. */
export type IoPorts = Pick<QuorumPorts, "device" | "clock">;

/** Reads what is asked for, all ranges at once; a repeated attempt waits a little first. */
export async function performRead(effect: ReadBlocks, ports: IoPorts): Promise<BlocksRead> {
  if (effect.attempt > 1) await sleep(ports.clock, 2 ** (effect.attempt - 2));
  const ranges = await Promise.all(effect.ranges.map((range) => readRange(range, ports.device)));
  return { type: "blocks-read", id: effect.id, blocks: ranges.flat() };
}

/** Writes one block durably; an error of the device is an answer, the machine decides what it means. */
export async function performWrite(effect: WriteBlock, ports: IoPorts): Promise<IoEvent> {
  try {
    await ports.device.write(blockOffset(effect.address), effect.block, { isDurable: true });
    return { type: "block-written", id: effect.id };
  } catch (cause) {
    if (!(cause instanceof DeviceError)) throw cause;
    return { type: "block-write-failed", id: effect.id, cause };
  }
}

/** A machine whose effects are reads and writes, one at a time, and an outcome at the end. */
export interface IoMachine<Outcome> {
  handle(event: IoEvent): readonly (IoEffect | Outcome)[];
}

/**
 * Does effect after effect until the machine names an outcome.
 *
 * @param run.first - What the machine's first event returned.
 * @param run.beforeWrite - Called before each write; what it throws ends the run with nothing written.
 */
export async function driveToOutcome<Outcome extends { readonly type: string }>(
  machine: IoMachine<Outcome>,
  run: { readonly first: readonly (IoEffect | Outcome)[]; readonly beforeWrite?: () => void },
  ports: IoPorts,
): Promise<Outcome> {
  let effects = run.first;
  for (;;) {
    const [effect] = effects;
    invariant(effect !== undefined && effects.length === 1, "the machine has one effect at a time");
    if (isRead(effect)) effects = machine.handle(await performRead(effect, ports));
    else if (isWrite(effect)) {
      run.beforeWrite?.();
      effects = machine.handle(await performWrite(effect, ports));
    } else return effect;
  }
}

function isRead<Outcome extends { readonly type: string }>(
  effect: IoEffect | Outcome,
): effect is Extract<IoEffect, ReadBlocks> {
  return effect.type === "read-blocks";
}

function isWrite<Outcome extends { readonly type: string }>(
  effect: WriteBlock | Outcome,
): effect is Extract<IoEffect, WriteBlock> {
  return effect.type === "write-block";
}

async function readRange(
  range: BlockRange,
  device: BlockDevice,
): Promise<readonly (Uint8Array | undefined)[]> {
  const bytes = new Uint8Array(range.count * BLOCK_BYTES);
  try {
    await device.read(blockOffset(range.address), bytes);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    if (range.count === 1) return [undefined];
    const blocks = Array.from({ length: range.count }, (_, index) =>
      readRange({ address: range.address + BigInt(index), count: 1 }, device),
    );
    return (await Promise.all(blocks)).flat();
  }
  return Array.from({ length: range.count }, (_, index) =>
    bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES),
  );
}

/** A search or reading of `@holdfast/quorum`. */
interface Reading {
  readonly request: ReadBlocks;
  accept(event: BlocksRead): ReadBlocks | undefined;
}

/** Reads until the reading has all it wants. */
export async function runReading(reading: Reading, ports: IoPorts): Promise<void> {
  let next: ReadBlocks | undefined = reading.request;
  while (next !== undefined) next = reading.accept(await performRead(next, ports));
}

/** Runs a check from its start to its outcome; its first read begins before this returns. */
export async function runCheck(check: Check, ports: IoPorts): Promise<CheckOutcome> {
  let effects = check.handle({ type: "start" });
  for (;;) {
    const [effect] = effects;
    invariant(effect !== undefined && effects.length === 1, "a check has one effect at a time");
    if (effect.type !== "read-blocks") return effect;
    effects = check.handle(await performRead(effect, ports));
  }
}
