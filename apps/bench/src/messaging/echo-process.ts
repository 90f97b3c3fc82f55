/*
 * A process that answers what it gets: `echo-process CONTESTANT BODIES [SOCKET PATH]`.
 */
import { parentGone, say } from "../child.ts";
import { bodiesOf, bodyNameOf } from "./bodies.ts";
import { contestantOf } from "./contestants.ts";

const [name = "", bodyName, path] = process.argv.slice(2);
const contestant = await contestantOf(name);
const { answer } = bodiesOf(bodyNameOf(bodyName), contestant.isCopying);
say(await contestant.serve(path === undefined ? { kind: "tcp" } : { kind: "unix", path }, answer));
await parentGone();
process.exit();
