/*
 * The server of a crowd: `crowded-process CONTESTANT`.
 */
import { parentGone, say } from "../child.ts";
import { contestantOf } from "../messaging/contestants.ts";
import { tellIdleCosts } from "./idle-costs.ts";

const [name = ""] = process.argv.slice(2);
tellIdleCosts();
const contestant = await contestantOf(name);
say(await contestant.serve({ kind: "tcp" }, (body) => body));
await parentGone();
process.exit();
