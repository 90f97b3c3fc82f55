/*
 * Messages: a session between two processes over loopback, beside a bare echo that batches equally.
 */
import { measureRow, median, type Row } from "../contest.ts";
import type { MessagingSizes } from "../sizes.ts";
import { type EchoClient, startBareEcho, startSessionEcho } from "./echo-clients.ts";

/** Bytes of a body: about what a lock request has. */
const BODY_BYTES = 100;

const OUTSTANDING = [64, 1024] as const;
const PEER = "bare echo";

/** Measures the messaging rows. */
export async function measureMessaging(sizes: MessagingSizes, runs: number): Promise<readonly Row[]> {
  const session = await startSessionEcho();
  const bare = await startBareEcho();
  try {
    const rows = [
      await measureRow({
        row: "round trip, p50",
        unit: "µs",
        isLowerBetter: true,
        runs,
        ours: () => roundTripUs(session, sizes.roundTrips),
        peers: { [PEER]: () => roundTripUs(bare, sizes.roundTrips) },
      }),
    ];
    for (const outstanding of OUTSTANDING)
      rows.push(
        await measureRow({
          row: `${outstanding} outstanding`,
          unit: "requests/s",
          isLowerBetter: false,
          runs,
          ours: () => requestsPerSecond(session, sizes.requests, outstanding),
          peers: { [PEER]: () => requestsPerSecond(bare, sizes.requests, outstanding) },
        }),
      );
    return rows;
  } finally {
    await session.stop();
    await bare.stop();
  }
}

/** Median time from asking to being told, in microseconds, with one request at a time. */
function roundTripUs(client: EchoClient, count: number): Promise<number> {
  const body = new Uint8Array(BODY_BYTES);
  const tookUs = new Float64Array(count);
  return new Promise((resolve) => {
    let done = 0;
    let sentMs = performance.now();
    client.replied = () => {
      const now = performance.now();
      tookUs[done] = (now - sentMs) * 1000;
      done += 1;
      if (done === count) resolve(median(tookUs));
      else {
        sentMs = performance.now();
        client.send(body);
      }
    };
    client.send(body);
  });
}

/** Echoes per second while so many requests are always on their way. */
function requestsPerSecond(client: EchoClient, count: number, outstanding: number): Promise<number> {
  const body = new Uint8Array(BODY_BYTES);
  const startMs = performance.now();
  return new Promise((resolve) => {
    let [sent, done] = [0, 0];
    client.replied = (reply) => {
      if (reply.length !== BODY_BYTES) throw new Error(`an echo has ${reply.length} bytes`);
      done += 1;
      if (sent < count) {
        sent += 1;
        client.send(body);
      } else if (done === count) resolve((count / (performance.now() - startMs)) * 1000);
    };
    while (sent < Math.min(count, outstanding)) {
      sent += 1;
      client.send(body);
    }
  });
}
