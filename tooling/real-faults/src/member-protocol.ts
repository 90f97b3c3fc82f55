/*
 * What a test and a member's process say to each other.
 */

/** The key that all members count up. */
export const COUNT_KEY = "count";

/** Keys that a member under load writes in turn. */
export const OWN_KEYS = 8;

/** What a test may ask of a member. */
export type Order =
  | { readonly kind: "report" }
  /** Who are members, as the server says. */
  | { readonly kind: "members" }
  /** Read and write without pause until `rest`. */
  | { readonly kind: "load" }
  | { readonly kind: "rest" }
  /** Values of one key grow. */
  | { readonly kind: "put"; readonly key: string; readonly value: number }
  | { readonly kind: "read"; readonly key: string }
  /** Something the server has to commit. */
  | { readonly kind: "create-dataset"; readonly name: string }
  /** Blocks the event loop, once a write of the file is under way, until a byte comes on the standard input. */
  | { readonly kind: "block" }
  | { readonly kind: "close" };

/** Its answer: what the order asks for. */
export interface Answer {
  readonly isServing?: boolean;
  readonly isConnected?: boolean;
  /** Hexadecimal identities. */
  readonly members?: readonly string[];
  /** 0 if there is none. */
  readonly value?: number;
  /** Of a block: when it began and ended, and how many requests to the file were under way when it began. */
  readonly blocked?: { readonly fromMs: number; readonly toMs: number; readonly underWay: number };
}

/** What a member tells by itself. Times are milliseconds of a clock that all processes of a host share. */
export type MemberNews =
  | { readonly type: "ready"; readonly rid: string }
  | { readonly type: "answer"; readonly id: number; readonly answer: Answer }
  | { readonly type: "refusal"; readonly id: number; readonly code: string }
  | {
      readonly type: "began";
      readonly id: string;
      readonly kind: "read" | "write";
      readonly key: string;
      readonly atMs: number;
    }
  | { readonly type: "ended"; readonly id: string; readonly value: number; readonly atMs: number }
  /** Its outcome is unknown. */
  | { readonly type: "failed"; readonly id: string; readonly code: string }
  /** The membership ended by itself; the code, and those of what caused it. */
  | { readonly type: "lost"; readonly code: string };
