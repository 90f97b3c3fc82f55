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
  expect(await place.succeed(["status", "tune.hf"])).toContain(
    "votes     2, and 1 voter is connected: when this server ends, nobody follows; start more members\n",
  );
});

test("a member that is alone where two must agree says so: in its log, and in the error of a command", async () => {
  await place.succeed(["mkfs", "lonely.hf", "--size", "16M", "--votes", "2"]);

  const refused = await place.run(["get", "lonely.hf", "key", "--wait", "4", "--json"]);
  const lonely = new MemberProcess(place.spawn(["run", "lonely.hf", "--json"]));
  lonely.started.catch(() => {});
  const line: unknown = JSON.parse(await lonely.logged("election.short-of-votes"));

  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(errorOf(refused)).toEqual({
    code: "ERR_HOLDFAST_UNAVAILABLE",
    message:
      "no server answered within 4 s: 2 voters must agree before one serves, and 1 was there, this command included: start more members, " +
      'or lower the number with "holdfast tune lonely.hf --votes 1 --offline"; or wait longer with --wait',
  });
  expect(line).toMatchObject({ level: 40, missing: 1, votes: 2 });
  expect(await lonely.end("SIGTERM")).toMatchObject({ code: 0 });
});

test("a status that had to elect itself says so, since each such command uses up a term", async () => {
  const url = await place.volume("nobody.hf");

  const alone = await place.succeed(["status", url]);
  await place.member(url);
  const served = await place.succeed(["status", url]);

  const own =
    /server .* since term \d+, this command itself, since nobody else serves: keep a member running/;
  expect(alone).toMatch(own);
  expect(served).not.toMatch(own);
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

test("renew says whom it does not know of those who are given as fenced", async () => {
  const url = await place.volume("strangers.hf");
  const member = await place.member(url);
  const { rid } = await member.started;
  await member.end("SIGKILL");

  const result = await place.run(["renew", url, "--json", "--fenced", rid, "123"]);

  expect(result.code).toBe(0);
  expect(JSON.parse(result.stdout)).toMatchObject({ strangers: ["0000000000000123"] });
  expect(JSON.parse(result.stderr)).toEqual({
    warning: { message: "given as fenced, but unknown to the volume: 0000000000000123" },
  });
});

test("renew takes identities as the status prints them", async () => {
  const url = await place.volume("identities.hf");

  const result = await place.run(["renew", url, "--fenced", "not-hex"]);

  expect(result).toMatchObject({ code: 2, stdout: "" });
});
