/*
 * The requests, compactions and evictions of one server over a volume in memory; its members are the test.
 */
import type { CompactionJob } from "@holdfast/compaction";
import { CompactionJob as JobCodec } from "@holdfast/compaction";
import type { Logger } from "@holdfast/environment";
import { userKey } from "@holdfast/item-store";
import { SegmentRef, SegmentWriter } from "@holdfast/segment";
import {
  Command,
  CompactedRequest,
  GiveExtentsRequest,
  ExtentMessage,
  JoinReply,
  JoinRequest,
  RecordSegmentsRequest,
  TakeExtentRequest,
} from "../../src/protocol.ts";
import { Compactor, type CompactorLimits } from "../../src/server/compactor.ts";
import { type LastWord, Requests } from "../../src/server/requests.ts";
import { NO_PROCESS, type ProcessRecord } from "../../src/volume/process-record.ts";
import { sizesFor } from "../../src/volume/sizes.ts";
import type { ServerWorld, TestServer } from "./server-world.ts";

/** A job that the server sent. */
export interface SentJob {
  readonly worker: bigint;
  readonly job: CompactionJob;
  /** What the member answers at once; 0 accepts. */
  readonly answer: (error: number) => void;
}

/** What a member says that has ended all its writes. */
export const DRAINED: LastWord = { mayBeWritten: false, isServing: false, saidTerm: 1n << 40n };

const EMPTY = new Uint8Array(0);

/** One server and what it was asked. */
export class ServerRig {
  readonly world: ServerWorld;
  readonly server: TestServer;
  readonly requests: Requests;
  readonly compactor: Compactor;
  readonly jobs: SentJob[] = [];
  /** Members that said farewell. */
  readonly left: bigint[] = [];
  readonly events: (string | undefined)[] = [];
  workers: readonly bigint[] = [];
  readonly log: Logger;
  readonly #members: Map<bigint, JoinReply> = new Map();
  #operation = 0n;
  #segment = 0n;

  private constructor(world: ServerWorld, server: TestServer, limits: CompactorLimits) {
    this.world = world;
    this.server = server;
    const { committer, leadership } = server;
    const keep = (facts: { readonly event?: string }): void => {
      this.events.push(facts.event);
    };
    const log: Logger = { debug: keep, info: keep, warn: keep, error: keep };
    this.log = log;
    this.compactor = new Compactor({
      committer,
      clock: world.clock,
      call: (worker, command, body, done) => {
        if (command !== Command.compact) throw new Error(`the server calls ${command}`);
        this.jobs.push({ worker, job: JobCodec.decode(body), answer: (error) => done(error, EMPTY) });
        return () => {};
      },
      workers: () => this.workers,
      limits,
      onFatal: (error) => server.fatal.push(error),
      log,
    });
    const sizes = sizesFor(world.layout.dataCount);
    this.requests = new Requests({
      committer,
      leadership,
      compactor: this.compactor,
      sizes,
      clock: world.clock,
      onOwner: (rid) => this.left.push(rid),
      log,
    });
  }

  /** Wins a term for `rid` and settles. */
  static async start(
    world: ServerWorld,
    rid: bigint,
    limits: CompactorLimits = { jobsPerMember: 1, levelZeroMax: 6 },
  ): Promise<ServerRig> {
    const server = await world.serve(rid);
    await server.committer.mutate((trees) => trees.settle());
    return new ServerRig(world, server, limits);
  }

  async join(rid: bigint, process: ProcessRecord = NO_PROCESS): Promise<JoinReply> {
    const body = JoinRequest.encode({
      isVoter: true,
      address: `memory:${rid}`,
      name: `m${rid}`,
      process,
    });
    const reply = JoinReply.decode(await this.requests.join(rid, body));
    this.#members.set(rid, reply);
    return reply;
  }

  /** The number for the next operation, of whichever member. */
  nextOperation(): { readonly operation: bigint; readonly seen: bigint } {
    this.#operation += 1n;
    return { operation: this.#operation, seen: 0n };
  }

  async take(rid: bigint, blocks: number): Promise<ExtentMessage> {
    const body = TakeExtentRequest.encode({ ...this.nextOperation(), blocks });
    return ExtentMessage.decode(await this.requests.takeExtent(rid, body));
  }

  give(rid: bigint, extents: readonly ExtentMessage[], mayBeWritten = false): Promise<Uint8Array> {
    const body = GiveExtentsRequest.encode({ ...this.nextOperation(), extents, mayBeWritten });
    return this.requests.giveExtents(rid, body);
  }

  /** Writes a level-0 segment of these keys, as a member would; its blocks are the member's until it is recorded. */
  async write(rid: bigint, keys: readonly string[], value = "v"): Promise<SegmentRef> {
    const { device, fsid } = this.world;
    const extent = await this.take(rid, 64 + Math.ceil((keys.length * value.length) / 4096));
    this.#segment += 1n;
    const id = (BigInt(this.#members.get(rid)?.number ?? 0) << 40n) + this.#segment;
    const writer = new SegmentWriter({ device, fsid, writer: rid, term: 2n, id, level: 0, extent });
    const encoder = new TextEncoder();
    for (const key of keys.toSorted())
      writer.add(userKey(1n, encoder.encode(key)), id, encoder.encode(value));
    const segment = await writer.finish();
    if (writer.unused !== undefined) await this.give(rid, [writer.unused]);
    return segment;
  }

  record(rid: bigint, segments: readonly SegmentRef[], journalEpoch = 0n): Promise<Uint8Array> {
    const encoded = segments.map((segment) => SegmentRef.encode(segment));
    const body = RecordSegmentsRequest.encode({ ...this.nextOperation(), segments: encoded, journalEpoch });
    return this.requests.recordSegments(rid, body);
  }

  compacted(rid: bigint, job: bigint, result: Uint8Array): Promise<Uint8Array> {
    return this.requests.compacted(rid, CompactedRequest.encode({ ...this.nextOperation(), job, result }));
  }

  /** Blocks that are nowhere: neither free, nor anybody's, nor in quarantine. mkfs's own node is the only one. */
  async missingBlocks(): Promise<number> {
    const { committer, trees } = this.server;
    const { metadataGrants, spares, orphans, quarantine, retained } = committer.committed;
    let blocks = trees.free.freeBlocks + quarantine.blocks + retained.blocks;
    for (const { lengthBlocks } of [...metadataGrants, ...spares, ...orphans]) blocks += lengthBlocks;
    for (const [rid, { journal }] of await trees.members.list()) {
      blocks += journal.first.lengthBlocks + journal.second.lengthBlocks;
      for (const { lengthBlocks } of await trees.members.grants(rid)) blocks += lengthBlocks;
    }
    for (const { extent } of await trees.manifest.list()) blocks += extent.lengthBlocks;
    await trees.free.verify();
    return Number(this.world.layout.dataCount) - blocks;
  }
}
