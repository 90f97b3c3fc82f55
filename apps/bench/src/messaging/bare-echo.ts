/*
 * The yardstick: bare frames over the same kind of socket, gathered into one write per turn as ours are.
 */
import { type AddressInfo, connect as dial, createServer, type Socket } from "node:net";
import { BareConnection } from "./bare-connection.ts";
import type { Answer, Contestant, EchoClient, Place } from "./echo.ts";

/** Bare frames over TCP or a Unix socket. */
export const BARE_ECHO: Contestant = { isCopying: true, serve, connect };

async function serve(place: Place, answer: Answer): Promise<string> {
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = new BareConnection(socket, (body) => connection.send(answer(body)));
    // A client that leaves resets the connection; the next one comes by another.
    socket.on("error", () => connection.close());
  });
  await new Promise<void>((resolve) => {
    if (place.kind === "tcp") server.listen(0, "127.0.0.1", resolve);
    else server.listen(place.path, resolve);
  });
  return place.kind === "tcp" ? String((server.address() as AddressInfo).port) : place.path;
}

async function connect(address: string): Promise<EchoClient> {
  const socket = await connected(address);
  const connection = new BareConnection(socket, (body) => client.replied(body));
  const client: EchoClient = {
    replied: () => {},
    broken: () => {},
    send: (body) => connection.send(body),
    close: () => connection.close(),
  };
  // What went wrong shows in what follows: the end.
  socket.on("error", () => {});
  socket.on("close", () => client.broken());
  return client;
}

function connected(address: string): Promise<Socket> {
  const socket = address.startsWith("/")
    ? dial({ path: address })
    : dial({ host: "127.0.0.1", port: Number(address), noDelay: true });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => resolve(socket));
  });
}
