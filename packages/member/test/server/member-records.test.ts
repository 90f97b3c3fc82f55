import { BTree } from "@holdfast/btree";
import { NO_BLOCK } from "@holdfast/wire-format";
import { expect, test } from "vitest";
import { MemberRecord, NO_PROCESS, NodeStore, NotGrantedError } from "../../src/index.ts";
import { NAME_BYTES_MAX } from "../../src/protocol.ts";
import { MemberRecords } from "../../src/server/member-records.ts";
import { MemoryDevice } from "../world/memory-device.ts";

const RECORD: MemberRecord = {
  number: 3,
  isVoter: true,
  isEvicted: false,
  joinedTerm: 2n,
  journalEpoch: 5n,
  journal: { first: { start: 10n, lengthBlocks: 256 }, second: { start: 300n, lengthBlocks: 256 } },
  address: "tcp://127.0.0.1:7000",
  name: "größe/1",
  process: { ...NO_PROCESS, hostName: "h", bootId: "b", namespace: 4n, pid: 17, startTime: 5n },
};

function records(): MemberRecords {
  return new MemberRecords(new BTree(NO_BLOCK, new NodeStore(new MemoryDevice(0), 1n)));
}

test("a record comes back as it was, with the longest names too", () => {
  const long = { ...RECORD, address: "a".repeat(255), name: "n".repeat(NAME_BYTES_MAX) };

  expect(MemberRecord.decode(MemberRecord.encode(RECORD))).toEqual(RECORD);
  expect(MemberRecord.decode(MemberRecord.encode(long))).toEqual(long);
  expect(MemberRecord.sizeBytes).toBe(558);
  expect(() => MemberRecord.encode({ ...RECORD, name: "n".repeat(NAME_BYTES_MAX + 1) })).toThrow(RangeError);
});

test("members are found by rid and listed in its order, whatever else stands beside them", async () => {
  const members = records();
  await members.put(9n, { ...RECORD, number: 2 });
  await members.put(2n, { ...RECORD, number: 1 });
  await members.grant(2n, { start: 1n, lengthBlocks: 1 });
  await members.keepResult(2n, 1n, 0n, new Uint8Array([1]));

  expect(await members.get(9n)).toEqual({ ...RECORD, number: 2 });
  expect(await members.get(3n)).toBeUndefined();
  expect([...(await members.list())].map(([rid, { number }]) => [rid, number])).toEqual([
    [2n, 1],
    [9n, 2],
  ]);
});

test("a member that is being evicted has a record and does not live", async () => {
  const members = records();
  await members.put(2n, { ...RECORD, isEvicted: true });
  await members.put(3n, RECORD);

  expect(await members.living(2n)).toBeUndefined();
  expect(await members.living(3n)).toEqual(RECORD);
  expect(await members.living(4n)).toBeUndefined();
});

test("what is revoked is cut out of the grant around it; the rest stays granted", async () => {
  const members = records();
  await members.grant(2n, { start: 100n, lengthBlocks: 50 });

  await members.revoke(2n, { start: 110n, lengthBlocks: 5 });
  expect(await members.grants(2n)).toEqual([
    { start: 100n, lengthBlocks: 10 },
    { start: 115n, lengthBlocks: 35 },
  ]);

  await members.revoke(2n, { start: 100n, lengthBlocks: 10 });
  await members.revoke(2n, { start: 140n, lengthBlocks: 10 });
  expect(await members.grants(2n)).toEqual([{ start: 115n, lengthBlocks: 25 }]);
});

test("an extent may span grants that are neighbours, and none that are not", async () => {
  const members = records();
  await members.grant(2n, { start: 100n, lengthBlocks: 10 });
  await members.grant(2n, { start: 110n, lengthBlocks: 10 });
  await members.grant(2n, { start: 121n, lengthBlocks: 10 });

  await members.revoke(2n, { start: 105n, lengthBlocks: 10 });

  expect(await members.grants(2n)).toEqual([
    { start: 100n, lengthBlocks: 5 },
    { start: 115n, lengthBlocks: 5 },
    { start: 121n, lengthBlocks: 10 },
  ]);
  await expect(members.revoke(2n, { start: 118n, lengthBlocks: 5 })).rejects.toBeInstanceOf(NotGrantedError);
});

test.each([
  ["before the grant", { start: 99n, lengthBlocks: 2 }],
  ["beyond it", { start: 149n, lengthBlocks: 2 }],
  ["elsewhere", { start: 10n, lengthBlocks: 1 }],
  ["of no length", { start: 100n, lengthBlocks: 0 }],
])("an extent %s is not the member's", async (_, extent) => {
  const members = records();
  await members.grant(2n, { start: 100n, lengthBlocks: 50 });
  await members.grant(3n, { start: 10n, lengthBlocks: 1 });

  await expect(members.revoke(2n, extent)).rejects.toMatchObject({
    code: "ERR_HOLDFAST_NOT_GRANTED",
    facts: { rid: 2n, ...extent },
  });
});

test("results stay until the member has seen them", async () => {
  const members = records();
  for (const operation of [1n, 2n, 3n])
    await members.keepResult(2n, operation, 0n, new Uint8Array([Number(operation)]));
  await members.keepResult(3n, 1n, 0n, new Uint8Array([9]));

  await members.keepResult(2n, 4n, 2n, new Uint8Array([4]));

  expect(await members.result(2n, 1n)).toBeUndefined();
  expect(await members.result(2n, 2n)).toBeUndefined();
  expect(await members.result(2n, 3n)).toEqual(new Uint8Array([3]));
  expect(await members.result(2n, 4n)).toEqual(new Uint8Array([4]));
  expect(await members.result(3n, 1n)).toEqual(new Uint8Array([9]));
});

test("removing a member leaves nothing of it, and all of the others", async () => {
  const tree = new BTree(NO_BLOCK, new NodeStore(new MemoryDevice(0), 1n));
  const members = new MemberRecords(tree);
  for (const rid of [1n, 2n, 3n]) {
    await members.put(rid, RECORD);
    await members.grant(rid, { start: (1n << 64n) - 1n, lengthBlocks: 1 });
    await members.keepResult(rid, (1n << 64n) - 1n, 0n, new Uint8Array([1]));
  }

  await members.remove(2n);

  const owners = new Map<bigint, number>();
  for await (const { key } of tree.scan()) {
    const owner = new DataView(key.buffer, key.byteOffset).getBigUint64(0);
    owners.set(owner, (owners.get(owner) ?? 0) + 1);
  }
  expect([...owners]).toEqual([
    [1n, 3],
    [3n, 3],
  ]);
});
