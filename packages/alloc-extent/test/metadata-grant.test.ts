import { expect, test } from "vitest";
import { type Extent, MetadataGrant } from "../src/index.ts";

const GRANT: Extent = { start: 50n, lengthBlocks: 3 };

function commit(grant: MetadataGrant): void {
  grant.commitStarted();
  grant.commitDone();
}

test("a granted extent is usable only when the commit that grants it is recorded", () => {
  const grant = new MetadataGrant();
  grant.addGrant(GRANT);

  expect(() => grant.allocate()).toThrow(
    expect.objectContaining({
      code: "ERR_HOLDFAST_GRANT_EXHAUSTED",
      category: "retry",
      facts: { grantedBlocks: 3, pendingBlocks: 3 },
    }),
  );
  grant.commitStarted();
  expect(grant.availableBlocks).toBe(0);
  grant.commitDone();

  expect([grant.allocate(), grant.allocate(), grant.allocate()]).toEqual([50n, 51n, 52n]);
});

test("a grant made while a record is being written waits for the next one", () => {
  const grant = new MetadataGrant();
  grant.commitStarted();
  grant.addGrant(GRANT);
  grant.commitDone();

  expect(grant.availableBlocks).toBe(0);
  commit(grant);
  expect(grant.availableBlocks).toBe(3);
});

test("a freed block is used again only after the commit that frees it", () => {
  const grant = new MetadataGrant();
  grant.addGrant({ start: 50n, lengthBlocks: 1 });
  commit(grant);
  const block = grant.allocate();

  expect(grant.free(block)).toBe(true);
  expect(grant.availableBlocks).toBe(0);
  commit(grant);

  expect(grant.allocate()).toBe(block);
});

test("a predecessor's block is not taken over", () => {
  const grant = new MetadataGrant();
  grant.addGrant(GRANT);
  commit(grant);

  expect(grant.free(49n)).toBe(false);
  expect(grant.free(53n)).toBe(false);
  commit(grant);

  expect(grant.availableBlocks).toBe(3);
});

test("a block that is freed twice, or never was in use, is refused", () => {
  const grant = new MetadataGrant();
  grant.addGrant(GRANT);
  expect(() => grant.free(50n)).toThrow("waits for a commit already");
  commit(grant);
  expect(() => grant.free(50n)).toThrow("freed twice");
  const block = grant.allocate();
  grant.free(block);
  expect(() => grant.free(block)).toThrow(expect.objectContaining({ code: "ERR_HOLDFAST_EXTENT_OVERLAP" }));
  grant.commitStarted();
  expect(() => grant.free(block)).toThrow("waits for a commit already");
});

test("the same blocks are not granted twice", () => {
  const grant = new MetadataGrant();
  grant.addGrant(GRANT);

  expect(() => grant.addGrant({ start: 52n, lengthBlocks: 5 })).toThrow(
    expect.objectContaining({ code: "ERR_HOLDFAST_EXTENT_OVERLAP" }),
  );
});

test("everything granted is listed for the record, used or not", () => {
  const grant = new MetadataGrant();
  grant.addGrant(GRANT);
  commit(grant);
  grant.allocate();
  grant.addGrant({ start: 90n, lengthBlocks: 2 });

  expect(grant.grants()).toEqual([GRANT, { start: 90n, lengthBlocks: 2 }]);
  expect(grant.unused()).toEqual([{ start: 51n, lengthBlocks: 2 }]);
  expect(grant.grantedBlocks).toBe(5);
});

test("a restored grant forgets a grant that was not committed", () => {
  const grant = new MetadataGrant();
  grant.addGrant(GRANT);
  commit(grant);
  const snapshot = grant.snapshot();
  grant.allocate();
  grant.addGrant({ start: 90n, lengthBlocks: 2 });

  grant.restore(snapshot);
  commit(grant);

  expect(grant.grants()).toEqual([GRANT]);
  expect(grant.availableBlocks).toBe(3);
});

test("what a commit in flight settles stays settled when the transaction beside it is undone", () => {
  const grant = new MetadataGrant();
  grant.addGrant(GRANT);
  grant.commitStarted();
  const snapshot = grant.snapshot();
  grant.addGrant({ start: 90n, lengthBlocks: 2 });
  grant.commitDone();

  grant.restore(snapshot);

  expect(grant.availableBlocks).toBe(3);
  expect(grant.pendingBlocks).toBe(0);
  expect(grant.grants()).toEqual([GRANT]);
});

test("the simulator can break the rule that a grant is committed before it is used", () => {
  const grant = new MetadataGrant(new Set(["metadata-outside-grant"]));
  grant.addGrant(GRANT);

  expect(grant.allocate()).toBe(50n);
});
