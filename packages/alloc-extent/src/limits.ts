/** Share of a volume's blocks in quarantine, in per cent, above which an operator must be told. */
export const QUARANTINE_ALARM_PERCENT = 10;

/** Most blocks a server is granted ahead for metadata: 64 MiB, what one zombie server can cost until it is confirmed dead. */
export const SERVER_GRANT_BLOCKS_MAX = 16_384;

/** Most blocks a member should hold unused: 256 MiB, what one zombie member can cost. */
export const MEMBER_GRANT_BLOCKS_MAX = 65_536;

/** Block numbers end here: byte offsets then end at 2^64, and every length is an exact number. */
export const BLOCK_NUMBER_END: bigint = 1n << 52n;
