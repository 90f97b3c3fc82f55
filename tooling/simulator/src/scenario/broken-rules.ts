/*
 * Safety rules that a run can break on purpose. Runs with one of them broken must find a violation, or the checks
 * prove nothing.
 */

/** A rule that can be broken. */
export interface BreakableRule {
  /** Its name in `BrokenRules`. */
  readonly name: string;
  /** What is left out. */
  readonly omission: string;
}

/** All rules that can be broken, one place in the code each. */
export const BREAKABLE_RULES: readonly BreakableRule[] = [
  { name: "commit-check", omission: "a server does not look for a successor after it wrote its record" },
  {
    name: "check-next-term-only",
    omission: "that look stops at the first following term, whatever it finds",
  },
  { name: "splitter", omission: "a candidate does not back off from a term that another one announced" },
  {
    name: "answer-before-commit",
    omission: "the server answers before the record of the effect is committed",
  },
  { name: "one-record-half", omission: "records overwrite one place instead of alternating between two" },
  { name: "metadata-outside-grant", omission: "a server reuses metadata blocks it was not granted" },
  {
    name: "evidence-before-release",
    omission: "the blocks of a dead member are free at once, whatever it may still write",
  },
  {
    name: "retain-reached-nodes",
    omission: "a release does not look which of a dead server's nodes trees reach still",
  },
  { name: "journal-check", omission: "a member acknowledges without looking whether it was evicted" },
  {
    name: "superseded-term-waits",
    omission: "a member acknowledges although a later term was announced than the one that counts it in",
  },
  {
    name: "session-dedupe",
    omission: "after a reconnect a server takes requests again that it did not acknowledge",
  },
  { name: "invalidate-before-commit", omission: "a lock is given back before its dirty items are recorded" },
  { name: "claim-read-back", omission: "a candidate does not look whether its claim of a term still stands" },
  {
    name: "announcement-read-back",
    omission: "a candidate does not look whether its announcement is on the device",
  },
  { name: "adopt-from-the-top", omission: "a winner does not look at the records of the term just below" },
  { name: "adopt-from-both-copies", omission: "a winner reads one copy of each record only" },
  { name: "lease-ends", omission: "a member trusts its cached locks for ever" },
  {
    name: "eviction-waits-for-lease",
    omission: "a silent member is evicted at once, while its lease runs",
  },
  { name: "own-lease-is-short", omission: "the server's own member trusts its locks as long as others do" },
  { name: "mark-before-replay", omission: "a journal is replayed before its member is marked as evicted" },
  { name: "replay-every-epoch", omission: "the oldest epoch of a dead member's journal is not replayed" },
  { name: "quarantine", omission: "the blocks of members that are gone without farewell are free at once" },
  {
    name: "freed-nodes-wait",
    omission: "a node's block is used again before the commit that drops the node is recorded",
  },
  {
    name: "locks-wait-for-recovery",
    omission: "a new server grants locks before the members have reported theirs",
  },
];
