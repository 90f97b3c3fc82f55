/*
 * What a one-shot command says to a member that runs on the same host, over a session on a Unix socket.
 *
 * The formats belong to one release of this program: both ends compare the volume's format hash in the greeting.
 */
import {
  array,
  binary,
  bool,
  type MessageCodec,
  message,
  optional,
  string,
  uint,
} from "@holdfast/wire-format";

/** Numbers of the requests. */
export const AdminCommand = {
  get: 1,
  batch: 2,
  scan: 3,
  datasets: 4,
  createDataset: 5,
  status: 6,
  tune: 7,
  fence: 8,
} as const;

/** Error field of an answer whose body is an {@link AdminFailure}. */
export const ADMIN_FAILED = 1;

/** Bytes of items in one message: well below the greatest frame. */
export const ADMIN_PAGE_BYTES: number = 512 * 1024;

/** Changes and items in one message. */
export const ADMIN_ITEMS_MAX = 8192;

/** Longest name of a dataset that travels, in characters: longer than any that there can be. */
export const ADMIN_NAME_LENGTH_MAX = 64;

/** Longest value, as the store's limit. */
const VALUE_BYTES_MAX = 64 * 1024;

/** Longest key that travels: longer than any that there can be. */
const KEY_BYTES_MAX = 64;

/** Why a request failed: what the error said. */
export interface AdminFailure {
  readonly code: string;
  readonly category: string;
  readonly message: string;
}

/** Codec of a failure. */
export const AdminFailure: MessageCodec<AdminFailure> = message("AdminFailure", {
  code: string(80),
  category: string(20),
  message: string(4096),
});

/** Asks for one value. */
export interface AdminGet {
  readonly dataset: string;
  readonly key: string;
}

/** Codec of a get. */
export const AdminGet: MessageCodec<AdminGet> = message("AdminGet", {
  dataset: string(ADMIN_NAME_LENGTH_MAX),
  key: string(KEY_BYTES_MAX),
});

/** A value, or none. */
export interface AdminValue {
  readonly value: Uint8Array | undefined;
}

/** Codec of a value. */
export const AdminValue: MessageCodec<AdminValue> = message("AdminValue", {
  value: optional(binary(VALUE_BYTES_MAX)),
});

/** One change; without a value it deletes. */
export interface AdminChange {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** Codec of a change. */
export const AdminChange: MessageCodec<AdminChange> = message("AdminChange", {
  key: binary(KEY_BYTES_MAX),
  value: optional(binary(VALUE_BYTES_MAX)),
});

/** Changes to make at once. */
export interface AdminBatch {
  readonly dataset: string;
  readonly changes: readonly AdminChange[];
}

/** Codec of a batch. */
export const AdminBatch: MessageCodec<AdminBatch> = message("AdminBatch", {
  dataset: string(ADMIN_NAME_LENGTH_MAX),
  changes: array(AdminChange, ADMIN_ITEMS_MAX),
});

/** Asks for one page of items. */
export interface AdminScan {
  readonly dataset: string;
  readonly from: Uint8Array | undefined;
  readonly to: Uint8Array | undefined;
  readonly prefix: Uint8Array | undefined;
  /** Last key of the page before: the next one starts behind it. */
  readonly after: Uint8Array | undefined;
  readonly limit: number;
  readonly isReverse: boolean;
}

/** Codec of a scan. */
export const AdminScan: MessageCodec<AdminScan> = message("AdminScan", {
  dataset: string(ADMIN_NAME_LENGTH_MAX),
  from: optional(binary(KEY_BYTES_MAX)),
  to: optional(binary(KEY_BYTES_MAX)),
  prefix: optional(binary(KEY_BYTES_MAX)),
  after: optional(binary(KEY_BYTES_MAX)),
  limit: uint,
  isReverse: bool,
});

/** One item. */
export interface AdminEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Codec of an item. */
export const AdminEntry: MessageCodec<AdminEntry> = message("AdminEntry", {
  key: binary(KEY_BYTES_MAX),
  value: binary(VALUE_BYTES_MAX),
});

/** One page; the last one says so. */
export interface AdminPage {
  readonly entries: readonly AdminEntry[];
  readonly isLast: boolean;
}

/** Codec of a page. */
export const AdminPage: MessageCodec<AdminPage> = message("AdminPage", {
  entries: array(AdminEntry, ADMIN_ITEMS_MAX),
  isLast: bool,
});

/** Names of datasets. */
export interface AdminNames {
  readonly names: readonly string[];
}

/** Codec of names. */
export const AdminNames: MessageCodec<AdminNames> = message("AdminNames", {
  names: array(string(ADMIN_NAME_LENGTH_MAX), 65_536),
});
