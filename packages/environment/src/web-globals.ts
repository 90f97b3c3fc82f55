/*
 * The few web globals that every JavaScript host has and the ES library does not declare, for packages that
 * compile without DOM or Node.js types. Structurally compatible with the platform's own declarations.
 */
declare global {
  /** Tells that a wait is no longer wanted. */
  interface AbortSignal {
    readonly aborted: boolean;
    // oxlint-disable-next-line typescript/no-explicit-any -- the platform declares it so
    readonly reason: any;
    addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
    removeEventListener(type: "abort", listener: () => void): void;
  }
}

/** Turns text into UTF-8 and back, refusing what is not UTF-8. */
export interface Utf8 {
  encode(text: string): Uint8Array;
  /** @throws TypeError when the bytes are not valid UTF-8. */
  decode(bytes: Uint8Array): string;
}

interface TextCodecs {
  readonly TextEncoder: new () => { encode(text: string): Uint8Array };
  readonly TextDecoder: new (
    label: string,
    options: { fatal: boolean; ignoreBOM: boolean },
  ) => { decode(bytes: Uint8Array): string };
}

// Every host of ES2023 in our range has these two globals; only their types are missing here.
const codecs = globalThis as unknown as TextCodecs;
const encoder = new codecs.TextEncoder();
const decoder = new codecs.TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 of this host. */
export const utf8: Utf8 = {
  encode: (text) => encoder.encode(text),
  decode: (bytes) => decoder.decode(bytes),
};

/** A signal and the means to abort it: the platform's `AbortController`. */
export interface Aborter {
  readonly signal: AbortSignal;
  /** Aborts; what comes after the first is dropped. */
  abort(reason?: unknown): void;
}

const controllers = globalThis as unknown as { readonly AbortController: new () => Aborter };

/** A signal that has not been aborted. */
export function makeAborter(): Aborter {
  return new controllers.AbortController();
}
