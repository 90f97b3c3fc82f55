/*
 * What the commands need of a volume, whether this process is a member or talks to one.
 */
import type { Change, Entry, StatusReply, TuneRequest, FenceReply, FenceRequest } from "@holdfast/member";

/** Which items to read; see the scan command. */
export interface AccessScan {
  readonly from?: Uint8Array | string;
  readonly to?: Uint8Array | string;
  readonly prefix?: Uint8Array | string;
  readonly limit?: number;
  readonly isReverse?: boolean;
}

/** Somebody's way to a volume. */
export interface Access {
  /** For people: how the volume is reached. */
  readonly via: "own membership" | "local member";
  get(dataset: string, key: string): Promise<Uint8Array | undefined>;
  batch(dataset: string, changes: readonly Change[]): Promise<void>;
  /** Items in order, page by page. */
  pages(dataset: string, scan: AccessScan): AsyncGenerator<readonly Entry[], void, void>;
  datasets(): Promise<readonly string[]>;
  createDataset(name: string): Promise<void>;
  status(): Promise<StatusReply>;
  tune(change: TuneRequest): Promise<void>;
  fence(request: FenceRequest): Promise<FenceReply>;
  close(): Promise<void>;
}
