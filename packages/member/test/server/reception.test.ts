import { createHmac } from "node:crypto";
import { NO_BROKEN_RULES, SILENT_LOGGER } from "@holdfast/environment";
import { MemoryNetwork } from "@holdfast/memory-ports";
import { startClientSession } from "@holdfast/net-reliable";
import { DeposedError } from "@holdfast/quorum";
import { expect, test } from "vitest";
import { DEFAULT_COMPACTOR_LIMITS, DEFAULT_MEMBER_TIMING } from "../../src/index.ts";
import { Command, EMPTY_BODY } from "../../src/protocol.ts";
import { ServerRole } from "../../src/server/server-role.ts";
import { NO_PROCESS } from "../../src/volume/process-record.ts";
import { ServerWorld } from "../world/server-world.ts";

const OWN = 1n;
const PEER = 5n;
const SUCCESSOR = 2n;

// A member takes a refusal for the last word, and gives itself up when it cannot write back; the server it should ask is another one.
test("a request that finds a server superseded is not refused, but left to the successor, and ends the reign", async () => {
  const world = await ServerWorld.format();
  const network = new MemoryNetwork(world.clock);
  const { clock, random, device, superBlock, layout } = world;
  const ports = {
    transport: network,
    clock,
    random,
    log: SILENT_LOGGER,
    cryptography: {
      hmacSha256: (key: Uint8Array, message: Uint8Array) =>
        createHmac("sha256", key).update(message).digest(),
    },
  };
  const ended: unknown[] = [];
  await ServerRole.start(
    {
      ...ports,
      device,
      superBlock,
      layout,
      rid: OWN,
      listenAddress: "memory:server",
      timing: DEFAULT_MEMBER_TIMING,
      compactorLimits: DEFAULT_COMPACTOR_LIMITS,
      brokenRules: NO_BROKEN_RULES,
      name: "server",
      process: NO_PROCESS,
      processes: undefined,
      fenceAgent: undefined,
      formerQuiet: () => Promise.resolve(),
      onEnded: (error) => ended.push(error),
    },
    await world.elect(OWN),
  );
  const { fsid, formatHash, key } = superBlock;
  const session = startClientSession(
    {
      identity: { fsid, formatHash, key },
      rid: PEER,
      isVoter: false,
      timing: DEFAULT_MEMBER_TIMING.session,
      findServer: () => Promise.resolve("memory:server"),
      handle: (_, __, ___, respond) => respond(0, EMPTY_BODY),
      onServer: () => Promise.resolve(),
      onHeard: () => {},
      onRefused: () => {},
      onDisconnected: () => {},
    },
    ports,
  );
  await clock.advance(30);
  const outcomes: number[] = [];

  await world.elect(SUCCESSOR);
  session.call(Command.status, EMPTY_BODY, (error) => outcomes.push(error));
  await clock.advance(30);

  expect(outcomes).toEqual([]);
  expect(ended).toEqual([expect.any(DeposedError)]);
  session.close();
});
