/** Where a process listens by default: any free port, this host only. */
export const DEFAULT_LISTEN_ADDRESS = "tcp://127.0.0.1:0";
