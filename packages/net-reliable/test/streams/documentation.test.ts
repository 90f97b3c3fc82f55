/*
 * docs/protocols/streams.md shows layouts, types and limits; here it is held to the declarations.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  DEFAULT_STREAM_LIMITS,
  STREAM_LOCAL_WINDOW_BYTES,
  STREAM_WINDOW_BYTES,
  StreamFrameLayout,
  StreamGreeting,
  StreamHeading,
  StreamTicket,
  StreamTrailer,
  StreamWelcome,
} from "../../src/index.ts";
import { STREAM_FRAME } from "../../src/streams/stream-frames.ts";

const page = readFileSync(new URL("../../../../docs/protocols/streams.md", import.meta.url), "utf8");

describe("docs/protocols/streams.md", () => {
  test.each([StreamFrameLayout, StreamHeading, StreamTrailer, StreamGreeting, StreamWelcome, StreamTicket])(
    "shows the layout of $name as it is declared",
    ({ name, table }) => {
      const match = new RegExp(`^### ${name}\\n[^]*?\`\`\`text\\n([^]*?)\\n\`\`\``, "m").exec(page);

      expect(match?.[1]).toBe(table);
    },
  );

  test("lists every type of frame with its number", () => {
    const rows = [...page.matchAll(/^\| (\d+) \| (\w+)/gm)].map(([, number, name = ""]) => [
      name.toUpperCase(),
      Number(number),
    ]);

    expect(Object.fromEntries(rows)).toEqual(STREAM_FRAME);
  });

  test("names the limits", () => {
    const { streamsMax, streamsPerPeerMax } = DEFAULT_STREAM_LIMITS;

    expect(page).toContain(`(\`streamsMax\`) | ${streamsMax} |`);
    expect(page).toContain(`(\`streamsPerPeerMax\`) | ${streamsPerPeerMax} |`);
    expect(page).toContain(`(\`windowBytes\`) | ${STREAM_LOCAL_WINDOW_BYTES / 1024} KiB`);
    expect(page).toContain(`${STREAM_WINDOW_BYTES / 1024 / 1024} MiB over TLS`);
  });
});
