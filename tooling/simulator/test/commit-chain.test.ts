import { expect, test } from "vitest";
import { CommitChain } from "../src/index.ts";

function record(term: bigint, seq: bigint, writer: bigint = term, digest: string = `${term}.${seq}`) {
  return { term, seq, writer, digest };
}

test("records of one chain raise no complaint, copies and late copies included", () => {
  const chain = new CommitChain();

  const complaints = [
    chain.landed(record(2n, 1n)),
    chain.landed(record(2n, 1n)),
    chain.acknowledged(2n, 1n),
    chain.landed(record(2n, 2n)),
    chain.adopted({ term: 4n, fromTerm: 2n, fromSeq: 2n }),
    chain.landed(record(4n, 1n)),
    chain.landed(record(2n, 1n)),
    chain.acknowledged(4n, 1n),
  ];

  expect(complaints).toEqual(complaints.map(() => undefined));
});

test("two writers in one term are a fork", () => {
  const chain = new CommitChain();
  chain.landed(record(2n, 1n, 7n));

  expect(chain.landed(record(2n, 2n, 8n))).toContain("two writers");
});

test("one number with two contents is a fork", () => {
  const chain = new CommitChain();
  chain.landed(record(2n, 1n, 7n, "one"));

  expect(chain.landed(record(2n, 1n, 7n, "other"))).toContain("two contents");
});

test("a gap within a term is no chain", () => {
  const chain = new CommitChain();
  chain.landed(record(2n, 1n));

  expect(chain.landed(record(2n, 3n))).toContain("follows");
});

test("an acknowledgement of what was not written is no commit", () => {
  expect(new CommitChain().acknowledged(2n, 1n)).toContain("before it was written");
});

test("a term that goes on from before an acknowledged record forks, whichever is seen first", () => {
  const [early, late] = [new CommitChain(), new CommitChain()];
  for (const chain of [early, late]) for (const seq of [1n, 2n]) chain.landed(record(2n, seq));
  const adoption = { term: 3n, fromTerm: 2n, fromSeq: 1n };

  early.acknowledged(2n, 2n);
  late.adopted(adoption);

  expect(early.adopted(adoption)).toContain("(2, 2) was acknowledged");
  expect(late.acknowledged(2n, 2n)).toContain("(2, 2) was acknowledged");
});
