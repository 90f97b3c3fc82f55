/*
 * The committed manifest as this member last saw it.
 *
 * The server says where the tree stands; the member reads it from the device itself. A node that was reused
 * meanwhile is found by its hash and a newer root is asked for; the same root twice is damage (scoutfs I8).
 */
import { BTree, NodeCache } from "@holdfast/btree";
import { Manifest, ManifestView } from "@holdfast/compaction";
import { type BlockDevice, Mutex } from "@holdfast/environment";
import { BlockError, BlockRef } from "@holdfast/wire-format";
import { Command, EMPTY_BODY, ManifestReply } from "../protocol.ts";
import { NodeStore } from "../volume/node-store.ts";
import type { ServerLink } from "./server-link.ts";

/** Nodes of the manifest kept in memory, about 4 KiB each. */
const NODE_CACHE_COUNT = 512;

/** Follows the manifest. */
export class ManifestFollower {
  readonly #link: Pick<ServerLink, "request">;
  readonly #reader: NodeStore;
  readonly #cache: NodeCache = new NodeCache(NODE_CACHE_COUNT);
  readonly #mutex: Mutex = new Mutex();
  #current: { readonly version: bigint; readonly view: ManifestView } = {
    version: 0n,
    view: ManifestView.EMPTY,
  };

  constructor(device: BlockDevice, fsid: bigint, link: Pick<ServerLink, "request">) {
    this.#reader = new NodeStore(device, fsid);
    this.#link = link;
  }

  /** The newest manifest seen. */
  get current(): { readonly version: bigint; readonly view: ManifestView } {
    return this.#current;
  }

  /** Resolves when {@link current} is at least of `version`; many who wait for one version share one look. */
  async reach(version: bigint): Promise<void> {
    await this.#mutex.run(async () => {
      if (this.#current.version < version) await this.#follow();
    });
  }

  /**
   * Resolves when {@link current} is no older than the call.
   *
   * @throws {@link BlockError} when the committed manifest cannot be read.
   */
  refresh(): Promise<void> {
    return this.#mutex.run(() => this.#follow());
  }

  async #follow(): Promise<void> {
    let failed: bigint | undefined;
    for (;;) {
      const { version, root } = ManifestReply.decode(await this.#link.request(Command.manifest, EMPTY_BODY));
      if (version === this.#current.version) return;
      try {
        const tree = new BTree(BlockRef.decode(root), this.#reader, { cache: this.#cache });
        this.#current = { version, view: await new Manifest(tree).view() };
        return;
      } catch (error) {
        if (!(error instanceof BlockError) || failed === version) throw error;
        failed = version;
      }
    }
  }
}
