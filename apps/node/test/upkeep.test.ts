/*
 * Votes and terms, looked after from the command line.
 */
import { expect, test } from "vitest";
import { errorOf, MemberProcess, useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();

async function statusOf(
  url: string,
): Promise<{ readonly votes: number; readonly term: number; readonly termsUsed: number }> {
  return JSON.parse(await place.succeed(["status", url, "--json"]));
}

test("tune elects itself where nobody votes, and through a member it wants as many voters as votes", async () => {
  await place.succeed(["mkfs", "tune.hf", "--size", "16M", "--votes", "3"]);

  const made = JSON.parse(await place.succeed(["tune", "tune.hf", "--votes", "1", "--json"]));
  expect(made).toEqual({ url: "tune.hf", votes: 1, via: "own membership" });
  await place.member("tune.hf");
  const refused = await place.run(["tune", "tune.hf", "--votes", "2", "--json"]);
  await place.succeed(["tune", "tune.hf", "--votes", "2", "--force"]);

  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(errorOf(refused).code).toBe("ERR_HOLDFAST_TOO_FEW_VOTERS");
  expect(await statusOf("tune.hf")).toMatchObject({ votes: 2 });
});

test("tune --offline takes the place of voters that are too few", async () => {
  await place.succeed(["mkfs", "few.hf", "--size", "16M", "--votes", "2"]);
  const lonely = new MemberProcess(place.spawn(["run", "few.hf", "--json"]));
  lonely.started.catch(() => {});
  await lonely.logged("run.started");

  await place.succeed(["tune", "few.hf", "--votes", "1", "--offline"]);

  await lonely.logged("session.greeted");
  expect(await statusOf("few.hf")).toMatchObject({ votes: 1 });
  expect(await lonely.end("SIGTERM")).toMatchObject({ code: 0 });
});

test("renew waits for everybody to be away, and takes a killed process of this host for dead", async () => {
  const url = await place.volume("renew.hf");
  const member = await place.member(url);
  const { rid } = await member.started;
  await place.succeed(["put", url, "key", "value"]);

  const refused = await place.run(["renew", url, "--json"]);
  await member.end("SIGKILL");
  const renewed = JSON.parse(await place.succeed(["renew", url, "--json"]));

  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(errorOf(refused)).toMatchObject({
    code: "ERR_HOLDFAST_RENEW_REFUSED",
    message: expect.stringContaining(rid),
  });
  expect(renewed).toMatchObject({ generation: 1, firstTerm: 257, lastTerm: 512, wasResumed: false });
  expect(await place.succeed(["get", url, "key"])).toBe("value");
  expect((await statusOf(url)).term).toBeGreaterThan(257);
});

test("renew takes identities as the status prints them", async () => {
  const url = await place.volume("identities.hf");

  const result = await place.run(["renew", url, "--fenced", "not-hex"]);

  expect(result).toMatchObject({ code: 2, stdout: "" });
});
