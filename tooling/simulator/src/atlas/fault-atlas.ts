/*
 * The fault atlas: what may be damaged in a run, so that what must follow is known.
 *
 *   WHAT              MAY BE                                       THEN
 *   super, record     damaged in any way, in one of the two        nobody notices; if a crash tears the other copy of the
 *                     copies, the same in the whole run            same half, elections halt with ERR_HOLDFAST_RECORD_CORRUPT
 *   mark (X, Y)       rotten, lost when written (once a term),     a term is burnt, a server deposed, a claimant stops;
 *                     misread as another block; not stale          nothing else
 *   node, segment     damaged in any way                           errors of the class corruption, loss of service
 *   journal           rotten before its last entry                 the same when somebody replays it
 *
 * A last journal entry that rots or is lost cannot be told from one that was never acknowledged, a stale mark not from a term
 * that nobody ran for: nothing that stands once and has no parent can be protected against that, so it is not drawn.
 */
import type { RandomStream } from "../world/random-stream.ts";
import type { DamageScope } from "../plan/run-config.ts";
import type { DamageKind } from "../plan/fault-kinds.ts";
import type { Anatomy, Place, PlaceKind } from "./anatomy.ts";

/** What an atlas works with. */
export interface FaultAtlasOptions {
  readonly anatomy: Anatomy;
  readonly scope: DamageScope;
  /** Chooses the copy that may be damaged. */
  readonly random: RandomStream;
}

const MIRRORED_KINDS: readonly PlaceKind[] = ["super", "record", "mark"];
const ALL_KINDS: readonly PlaceKind[] = [...MIRRORED_KINDS, "node", "segment", "journal"];

/** Knows what may be damaged, and what was. */
export class FaultAtlas {
  readonly #options: FaultAtlasOptions;
  readonly #side: 0 | 1;
  readonly #lostMarks = new Set<bigint>();
  readonly #struck = new Map<PlaceKind, number>();
  #isRolledBack = false;
  #isHalted = false;
  #areRecordsMisread = false;

  constructor(options: FaultAtlasOptions) {
    this.#options = options;
    this.#side = options.random.chance(0.5) ? 1 : 0;
  }

  /** True if elections have halted, as they had to. */
  get isHalted(): boolean {
    return this.#isHalted;
  }

  /** True if loss of service is allowed from now on. */
  get isLossAllowed(): boolean {
    return this.#isHalted || this.isCorruptionAllowed;
  }

  /** True if any error of the class corruption is allowed from now on. */
  get isCorruptionAllowed(): boolean {
    const alone = ["node", "segment", "journal"] as const;
    return this.#isRolledBack || alone.some((kind) => this.#struck.has(kind));
  }

  /** True if an error of the class corruption with this code is what must follow, or may. */
  explains(code: string): boolean {
    const isMarkLost = code === "ERR_HOLDFAST_ANNOUNCEMENT_LOST" && this.#struck.has("mark");
    const isHalt = code === "ERR_HOLDFAST_RECORD_CORRUPT" && this.#isHalted;
    return isMarkLost || isHalt || this.isCorruptionAllowed;
  }

  /** True if the device went back to an older state as a whole: acknowledged writes are gone. */
  get isRolledBack(): boolean {
    return this.#isRolledBack;
  }

  /** True if the device has lied to somebody who may have stopped for good because of it. */
  get hasLied(): boolean {
    return this.#isRolledBack || this.#struck.size > 0;
  }

  /** What may be damaged by a fault of this kind. */
  kindsFor(damage: DamageKind): readonly PlaceKind[] {
    const kinds = this.#options.scope === "anything" ? ALL_KINDS : MIRRORED_KINDS;
    return kinds.filter((kind) => isPossible(damage, kind));
  }

  /** A block of this kind that may be damaged now; undefined if there is none. */
  pick(kind: PlaceKind, random: RandomStream): bigint | undefined {
    const { anatomy } = this.#options;
    return random.pick(
      anatomy.blocksOf(kind).filter((block) => {
        const place = anatomy.placeOf(block);
        return place !== undefined && this.#isExposed(place);
      }),
    );
  }

  /** What stands at a block, now or with the write that is about to land, if a fault of this kind may damage it there. */
  permits(
    damage: DamageKind,
    block: bigint,
    place: Place | undefined = this.#options.anatomy.placeOf(block),
  ): Place | undefined {
    if (place === undefined || !this.#isExposed(place)) return undefined;
    if (!this.kindsFor(damage).includes(place.kind)) return undefined;
    const isLosing = damage === "lost-write" || damage === "misdirected-write";
    return isLosing && place.kind === "mark" && this.#lostMarks.has(block >> 1n) ? undefined : place;
  }

  /** The other copy of the record at a block, if it is the one that may be damaged. */
  exposedTwin(block: bigint): { readonly block: bigint; readonly place: Place } | undefined {
    const twin = this.#options.anatomy.recordTwin(block);
    const place = twin === undefined ? undefined : this.permits("bit-rot", twin);
    return twin === undefined || place === undefined ? undefined : { block: twin, place };
  }

  /** Notes that a block was damaged. */
  struck(damage: DamageKind, block: bigint, { kind }: Place): void {
    this.#struck.set(kind, (this.#struck.get(kind) ?? 0) + 1);
    if (kind === "record" && damage.endsWith("-reads")) this.#areRecordsMisread = true;
    if (kind === "mark" && damage !== "bit-rot") this.#lostMarks.add(block >> 1n);
  }

  /**
   * Notes that elections have halted for want of a record; false if no damage to records explains that: one half must have
   * two copies that cannot be used, or one beside a copy that is misread.
   */
  halted(isUnreadable: (half: 0 | 1, copy: 0 | 1) => boolean): boolean {
    const isUnusable = (half: 0 | 1, copy: 0 | 1): boolean =>
      isUnreadable(half, copy) || (copy === this.#side && this.#areRecordsMisread);
    const isExplained = ([0, 1] as const).some((half) => isUnusable(half, 0) && isUnusable(half, 1));
    if (isExplained && this.#struck.has("record")) this.#isHalted = true;
    return this.#isHalted;
  }

  /** Notes that the whole device went back. */
  rolledBack(): void {
    this.#isRolledBack = true;
  }

  #isExposed({ kind, copy }: Place): boolean {
    return (kind !== "super" && kind !== "record") || copy === this.#side;
  }
}

function isPossible(damage: DamageKind, kind: PlaceKind): boolean {
  if (kind === "journal") return damage === "bit-rot";
  if (kind === "mark") return damage !== "stale-reads";
  // Nobody writes a super block once the volume is formatted.
  return kind !== "super" || (damage !== "lost-write" && damage !== "misdirected-write");
}
