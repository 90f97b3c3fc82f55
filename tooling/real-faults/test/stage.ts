/*
 * What a test of this folder begins with, and takes away again when it has finished.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeVolume } from "holdfast";
import { onTestFinished } from "vitest";
import {
  Crew,
  type CrewMember,
  FaultyDisk,
  type FaultyDiskOptions,
  type Place,
  placeOnLoopback,
} from "../src/index.ts";

const VOLUME_BYTES = 256n * 1024n * 1024n;

/** A fresh volume on a file of its own. */
export async function freshVolume(votes = 1): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-faults-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, "volume.hf");
  await makeVolume(path, { sizeBytes: VOLUME_BYTES, votes });
  return path;
}

/** Members at these places. */
export async function startCrew(places: readonly Place[]): Promise<Crew> {
  const crew = await Crew.start(places);
  onTestFinished(() => crew.end());
  return crew;
}

/** A path of its own to a file. */
export async function startDisk(path: string, options: FaultyDiskOptions = {}): Promise<FaultyDisk> {
  const disk = await FaultyDisk.start(path, options);
  onTestFinished(() => disk.stop());
  return disk;
}

/** All of a list but one. */
export function without(members: readonly CrewMember[], one: CrewMember): readonly CrewMember[] {
  return members.filter((member) => member !== one);
}

/** Three members, each with a path of its own to the volume; the server's can be told to fail. */
export async function startOnDisks(): Promise<{
  readonly crew: Crew;
  readonly server: CrewMember;
  readonly disk: FaultyDisk;
  readonly others: readonly CrewMember[];
}> {
  const path = await freshVolume();
  const disks = await Promise.all([1, 2, 3].map(() => startDisk(path)));
  const crew = await startCrew(disks.map(({ url }) => placeOnLoopback(url)));
  const server = await crew.server();
  const disk = disks.find(({ url }) => url === server.place.url);
  if (disk === undefined) throw new Error("the server has no disk");
  await crew.load();
  return { crew, server, disk, others: without(crew.members, server) };
}
