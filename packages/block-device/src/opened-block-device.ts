import type { BlockDevice, Logger } from "@holdfast/environment";
import type { NbdLimits } from "./nbd/nbd-device.ts";

/** How to open a device. */
export interface OpenOptions {
  /** True: writes are refused here, and the system is not asked for the right to write. Default false. */
  readonly isReadOnly?: boolean;
  /**
   * True: a block device that is mounted, or opened so by another process of this host, is refused, and is
   * protected from both while it is open. Files and memory have no such guard and ignore it. Default false.
   */
  readonly isExclusive?: boolean;
  /** Time limits of an NBD device; other devices have none. */
  readonly nbd?: NbdLimits;
  /** Told when an NBD device loses its server or finds it again; silent by default. */
  readonly log?: Logger;
  /** Gives up connecting to an NBD server. */
  readonly signal?: AbortSignal;
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
