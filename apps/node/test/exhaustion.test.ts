/*
 * Members that run out of what their host gives them.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { expect, test, vi } from "vitest";
import { useWorkplace } from "./holdfast-process.ts";

const place = useWorkplace();

/** Connections of a crowd: many times the descriptors that are left. */
const CROWD = 100;
const SPARE_DESCRIPTORS = 6;

/** `prlimit`, `/proc` and `/dev/full`. */
const isLinux = process.platform === "linux";

test.skipIf(!isLinux)(
  "a member without descriptors goes on with those it has, and takes commands again when there are some",
  async () => {
    const url = await place.volume("descriptors.hf");
    const member = await place.member(url);
    const opened: { readonly address: string } = JSON.parse(await member.logged("server.opened"));
    await place.succeed(["put", url, "before", "1"]);
    const { pid } = member.child;
    const limit = readdirSync(`/proc/${pid}/fd`).length + SPARE_DESCRIPTORS;
    execFileSync("prlimit", [`--nofile=${limit}`, "--pid", String(pid)]);

    const crowd = Array.from({ length: CROWD }, () =>
      connect(Number(new URL(opened.address).port), "127.0.0.1"),
    );
    await Promise.all(crowd.map(connectedOrRefused));
    // The system connects a crowd; the member takes it, and runs out, a little later.
    await vi.waitFor(() => expect(readdirSync(`/proc/${pid}/fd`).length).toBeGreaterThanOrEqual(limit - 1));
    for (const socket of crowd) socket.destroy();

    await place.succeed(["put", url, "after", "2"]);
    expect(await place.succeed(["get", url, "before"])).toBe("1");
    expect(await place.succeed(["get", url, "after"])).toBe("2");
    expect(await member.end("SIGTERM")).toMatchObject({ code: 0 });
  },
);

test.skipIf(!isLinux)("a member whose log has no room goes on without it", async () => {
  const url = await place.volume("full-log.hf");
  const full = openSync("/dev/full", "w");
  const child = place.spawn(["run", url, "--json", "--log-level", "debug"], { stderr: full });
  closeSync(full);
  if (child.stdout === null) throw new Error("the member has no output");
  await once(createInterface({ input: child.stdout }), "line");

  await place.succeed(["put", url, "key", "value"]);
  child.kill("SIGTERM");
  await once(child, "exit");

  expect(child.exitCode).toBe(0);
  expect(await place.succeed(["get", url, "key"])).toBe("value");
});

async function connectedOrRefused(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.once("connect", () => resolve());
    socket.once("error", () => resolve());
  });
}
