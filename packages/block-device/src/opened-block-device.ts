import type { BlockDevice } from "@holdfast/environment";

/** How to open a device. */
export interface OpenOptions {
  /** True: writes are refused here, and the system is not asked for the right to write. Default false. */
  readonly isReadOnly?: boolean;
  /**
   * True: a block device that is mounted, or opened so by another process of this host, is refused, and is
   * protected from both while it is open. Files and memory have no such guard and ignore it. Default false.
   */
  readonly isExclusive?: boolean;
}

/** A block device of this package: the port, and what an operator may want to know. */
export interface OpenedBlockDevice extends BlockDevice {
  /**
   * True if requests bypass the page cache of this host. False on file systems without O_DIRECT: then all members must
   * be on this host, and a read may be torn.
   */
  readonly isDirect: boolean;
  readonly isReadOnly: boolean;
}
