/*
 * `ws`, as its users have it: binary messages, no compression, which it leaves out for short messages anyway.
 */
import type { AddressInfo } from "node:net";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import type { Answer, Contestant, EchoClient, Place } from "./echo.ts";

/** WebSockets over TCP. */
export const WS_ECHO: Contestant = { isCopying: false, serve, connect };

async function serve(_place: Place, answer: Answer): Promise<string> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  server.on("connection", (socket) => {
    socket.on("message", (data) => socket.send(answer(bytesOf(data))));
    // A client that leaves resets the connection.
    socket.on("error", () => socket.terminate());
  });
  await new Promise((resolve) => {
    server.once("listening", resolve);
  });
  return String((server.address() as AddressInfo).port);
}

async function connect(port: string): Promise<EchoClient> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
  const client: EchoClient = {
    replied: () => {},
    broken: () => {},
    send: (body) => socket.send(body),
    close: () => socket.terminate(),
  };
  socket.on("message", (data) => client.replied(bytesOf(data)));
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.on("error", reject);
  });
  socket.on("close", () => client.broken());
  return client;
}

/** Messages come as one Buffer each unless `binaryType` says otherwise. */
function bytesOf(data: RawData): Uint8Array {
  if (data instanceof Uint8Array) return data;
  throw new Error("a message is not one Buffer");
}
