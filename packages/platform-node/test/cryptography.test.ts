import { expect, test } from "vitest";
import { nodeCryptography } from "../src/index.ts";

test.each([
  // RFC 4231, test cases 1, 2 and 6.
  ["0b".repeat(20), "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"],
  [
    "4a656665",
    "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    "aa".repeat(131),
    Buffer.from("Test Using Larger Than Block-Size Key - Hash Key First").toString("hex"),
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
])("HMAC-SHA-256 is that of RFC 4231 (key %s)", (key, message, expected) => {
  const digest = nodeCryptography.hmacSha256(Buffer.from(key, "hex"), Buffer.from(message, "hex"));

  expect(Buffer.from(digest).toString("hex")).toBe(expected);
});
