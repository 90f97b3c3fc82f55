import { afterAll, beforeAll, expect, test } from "vitest";
import {
  canMakeNamespaces,
  type Crew,
  type CrewMember,
  type NamespaceHost,
  NamespaceNetwork,
  type Place,
  until,
} from "../src/index.ts";
import { freshVolume, startCrew, without } from "./stage.ts";

// Skipped where this process may not make network namespaces: that takes root.
const testOnHosts = canMakeNamespaces() ? test : test.skip;

const HOSTS = 5;
let network: NamespaceNetwork | undefined;

beforeAll(async () => {
  if (canMakeNamespaces()) network = await NamespaceNetwork.make(HOSTS);
});
afterAll(() => network?.remove());

testOnHosts("a server that nobody reaches is replaced, although it reaches the device", async () => {
  const { crew, server, others } = await startOnHosts(3, 2);

  await net().cut(hostOf(server));
  const successor = await crew.server(others);
  await crew.goOn(others);
  await crew.untilNotMember(server, successor);
  await net().healAll();

  await saysItIsOut(server);
  await crew.goOn(others);
  expect(await crew.verdict(successor)).toEqual([]);
});

testOnHosts(
  "a member that reaches the device and nobody else replaces no server that others reach",
  async () => {
    const { crew, server, others } = await startOnHosts(3, 2);
    const [isolated = server, witness = server] = others;

    await net().cut(hostOf(isolated));
    await crew.untilNotMember(isolated, witness);
    await crew.goOn([server, witness]);

    expect(await crew.server([server, witness])).toBe(server);
    await net().healAll();
    await saysItIsOut(isolated);
    await crew.goOn([server, witness]);
    expect(await crew.server([server, witness])).toBe(server);
    expect(await crew.verdict(witness)).toEqual([]);
  },
);

testOnHosts("a server that one member does not reach goes on, and evicts that member", async () => {
  const { crew, server, others } = await startOnHosts(3, 2);
  const [separate = server, witness = server] = others;

  await net().cutPair(hostOf(server), hostOf(separate));
  await crew.untilNotMember(separate, witness);
  await crew.goOn([server, witness]);

  expect(await crew.server([server, witness])).toBe(server);
  await net().healAll();
  await saysItIsOut(separate);
  expect(await crew.verdict(witness)).toEqual([]);
});

testOnHosts(
  "a server that most members do not reach is replaced by one of them, and whoever reached both follows",
  async () => {
    const { crew, server, others } = await startOnHosts(5, 3);
    const majority = others.slice(1);

    for (const member of majority) await net().cutPair(hostOf(server), hostOf(member));
    const successor = await crew.server(others);
    await crew.goOn(others);
    await net().healAll();

    expect(majority).toContain(successor);
    await saysItIsOut(server);
    await crew.goOn(others);
    expect(await crew.verdict()).toEqual([]);
  },
);

testOnHosts.each([
  { name: "to", isOutward: true },
  { name: "from", isOutward: false },
])(
  "what is lost only on its way $name the server ends no promise, and who stays a member goes on",
  async ({ isOutward }) => {
    const { crew, server, others } = await startOnHosts(3, 2);
    const [deaf = server, witness = server] = others;

    if (isOutward) await net().cutOneWay(hostOf(deaf), hostOf(server));
    else await net().cutOneWay(hostOf(server), hostOf(deaf));
    await crew.untilNotMember(deaf, witness);
    await crew.goOn([server, witness]);
    await net().healAll();

    await saysItIsOut(deaf);
    await crew.goOn([server, witness]);
    expect(await crew.verdict(witness)).toEqual([]);
  },
);

async function startOnHosts(
  count: number,
  votes: number,
): Promise<{ readonly crew: Crew; readonly server: CrewMember; readonly others: readonly CrewMember[] }> {
  await net().healAll();
  const url = await freshVolume(votes);
  const places: readonly Place[] = net()
    .hosts.slice(0, count)
    .map(({ address, prefix }) => ({ url, prefix, listen: `tls://${address}:0` }));
  const crew = await startCrew(places);
  const server = await crew.server();
  await crew.load();
  return { crew, server, others: without(crew.members, server) };
}

function hostOf({ place }: CrewMember): NamespaceHost {
  const host = net().hosts.find(({ address }) => place.listen.includes(`//${address}:`));
  if (host === undefined) throw new Error("a member runs on no host");
  return host;
}

function net(): NamespaceNetwork {
  if (network === undefined) throw new Error("there is no network");
  return network;
}

async function saysItIsOut(member: CrewMember): Promise<void> {
  expect(await until(`${member.name} says that it was evicted`, () => member.lostCode)).toBe(
    "ERR_HOLDFAST_EVICTED",
  );
  expect(member.isAlive).toBe(true);
}
