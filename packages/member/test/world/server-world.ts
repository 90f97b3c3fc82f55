/*
 * A formatted volume in memory and the servers that win terms on it, one election after another, over the real quorum.
 */
import { MIB, NO_BROKEN_RULES, SILENT_LOGGER } from "@holdfast/environment";
import {
  Election,
  type Leadership,
  type QuorumRegion,
  driveToOutcome,
  startLeadership,
} from "@holdfast/quorum";
import { Committer } from "../../src/server/committer.ts";
import { openingState } from "../../src/server/opening.ts";
import { VolumeTrees } from "../../src/server/volume-trees.ts";
import { formatVolume } from "../../src/volume/format-volume.ts";
import { type VolumeLayout, layoutFor } from "../../src/volume/layout.ts";
import { NO_PROCESS } from "../../src/volume/process-record.ts";
import { quorumRegionOf } from "../../src/volume/quorum-region.ts";
import { sizesFor } from "../../src/volume/sizes.ts";
import type { SuperBlock } from "../../src/volume/super-block.ts";
import { VolumeState } from "../../src/volume/volume-state.ts";
import { ManualClock } from "@holdfast/memory-ports";
import { MemoryDevice } from "./memory-device.ts";
import { SeededRandom } from "@holdfast/memory-ports";

/** A server's metadata and how it commits. */
export interface TestServer {
  readonly leadership: Leadership;
  readonly trees: VolumeTrees;
  readonly committer: Committer;
  /** What the committer reported as fatal. */
  readonly fatal: unknown[];
}

/** More than any test uses; formatting more takes longer. */
const TERMS_MAX = 16;

/** One volume. */
export class ServerWorld {
  readonly clock: ManualClock = new ManualClock();
  readonly device: MemoryDevice;
  readonly random: SeededRandom = new SeededRandom(1);
  readonly layout: VolumeLayout;
  superBlock!: SuperBlock;

  private constructor(sizeBytes: number) {
    this.device = new MemoryDevice(sizeBytes);
    this.layout = layoutFor(this.device.sizeBytes, TERMS_MAX);
  }

  static async format(sizeBytes: number = 32 * MIB): Promise<ServerWorld> {
    const world = new ServerWorld(sizeBytes);
    world.superBlock = await formatVolume(
      world.device,
      { label: "test", votes: 1, termsMax: TERMS_MAX },
      world.random,
    );
    return world;
  }

  get fsid(): bigint {
    return this.superBlock.fsid;
  }

  get region(): QuorumRegion {
    return quorumRegionOf(this.superBlock, this.layout);
  }

  /** Wins the next term for `rid`; whoever served before is deposed. */
  async elect(rid: bigint): Promise<Leadership> {
    const { region, device, clock } = this;
    const election = new Election({
      region,
      rid,
      claim: this.random.u64(),
      fromTerm: 1n,
      yieldAbove: undefined,
      brokenRules: NO_BROKEN_RULES,
    });
    const ports = { device, clock };
    const outcome = await driveToOutcome(election, { first: election.handle({ type: "start" }) }, ports);
    if (outcome.type !== "elected") throw new Error(`the election ended with ${outcome.type}`);
    const { term, adopted } = outcome;
    return startLeadership({ region, rid, term, adopted, brokenRules: NO_BROKEN_RULES }, ports);
  }

  /** Wins the next term and makes its opening commit. */
  async serve(rid: bigint, brokenRules: ReadonlySet<string> = NO_BROKEN_RULES): Promise<TestServer> {
    const leadership = await this.elect(rid);
    const { term, adopted } = leadership;
    const opening = openingState(VolumeState.decode(adopted.payload), adopted, {
      term,
      process: NO_PROCESS,
    });
    const trees = this.treesOf(rid, term, opening);
    const fatal: unknown[] = [];
    const committer = new Committer(
      {
        trees,
        leadership,
        address: `memory:${rid}`,
        brokenRules,
        log: SILENT_LOGGER,
        onFatal: (error) => fatal.push(error),
      },
      opening,
    );
    await leadership.commit(VolumeState.encode(opening), `memory:${rid}`);
    return { leadership, trees, committer, fatal };
  }

  /** The trees of a state, as the server of `term` opens them. */
  treesOf(rid: bigint, term: bigint, state: VolumeState): VolumeTrees {
    const { device, fsid, layout } = this;
    const data = { start: layout.dataBlock, lengthBlocks: Number(layout.dataCount) };
    const sizes = sizesFor(layout.dataCount);
    return new VolumeTrees({ device, fsid, rid, term, data, sizes, brokenRules: NO_BROKEN_RULES }, state);
  }
}
