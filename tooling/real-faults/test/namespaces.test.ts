import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { canMakeNamespaces, NamespaceNetwork } from "../src/index.ts";

const run = promisify(execFile);

test.skipIf(!canMakeNamespaces())(
  "a host that is cut off is reached by nobody, and by everybody when it is healed",
  async () => {
    const network = await NamespaceNetwork.make(3);
    try {
      const [first, second, third] = threeOf(network);
      const reaches = (from: Host, to: Host): Promise<boolean> => connects(from.prefix, to);
      expect(await reaches(first, second)).toBe(true);
      await network.cut(second);
      expect(await reaches(first, second)).toBe(false);
      expect(await reaches(second, third)).toBe(false);
      expect(await reaches(first, third)).toBe(true);
      await network.heal(second);
      expect(await reaches(second, first)).toBe(true);
    } finally {
      await network.remove();
    }
  },
);

test.skipIf(!canMakeNamespaces())(
  "two hosts that are cut from each other reach all others, and each other when that is healed",
  async () => {
    const network = await NamespaceNetwork.make(3);
    try {
      const [first, second, third] = threeOf(network);
      expect(await connects(first.prefix, second)).toBe(true);

      await network.cutPair(first, second);

      expect(await connects(first.prefix, second)).toBe(false);
      expect(await connects(second.prefix, first)).toBe(false);
      expect(await connects(first.prefix, third)).toBe(true);
      expect(await connects(third.prefix, second)).toBe(true);

      await network.healAll();

      expect(await connects(first.prefix, second)).toBe(true);
    } finally {
      await network.remove();
    }
  },
);

type Host = NamespaceNetwork["hosts"][number];

function threeOf({ hosts }: NamespaceNetwork): readonly [Host, Host, Host] {
  const [first, second, third] = hosts;
  if (first === undefined || second === undefined || third === undefined)
    throw new Error("three hosts were made");
  return [first, second, third];
}

/** True if the host answers a connection attempt at all: a refusal is an answer. */
async function connects(prefix: readonly string[], to: { readonly address: string }): Promise<boolean> {
  const script = `require("node:net").connect({host:"${to.address}",port:9}).on("error",(error)=>process.exit(error.code==="ECONNREFUSED"?0:1));setTimeout(()=>process.exit(1),400)`;
  const [command = "", ...words] = prefix;
  return run(command, [...words, process.execPath, "-e", script]).then(
    () => true,
    () => false,
  );
}
