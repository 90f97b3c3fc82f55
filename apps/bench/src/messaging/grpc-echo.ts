/*
 * `@grpc/grpc-js`: one bidirectional stream, the fastest way it has for many small messages. The bytes of a message go
 * as they are, without protobuf around them: what that would cost is not the transport's.
 */
import {
  Client,
  type ChannelOptions,
  credentials,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
} from "@grpc/grpc-js";
import type { Answer, Contestant, EchoClient, Place } from "./echo.ts";

/** A bidirectional stream over TCP. */
export const GRPC_ECHO: Contestant = { isCopying: false, serve, connect };

const ECHO: MethodDefinition<Uint8Array, Uint8Array> = {
  path: "/bench.Echo/Echo",
  requestStream: true,
  responseStream: true,
  requestSerialize: bufferOf,
  requestDeserialize: (bytes) => bytes,
  responseSerialize: bufferOf,
  responseDeserialize: (bytes) => bytes,
};

/** The default window of HTTP/2 is less than 1024 messages of 100 bytes. */
const OPTIONS: ChannelOptions = { "grpc-node.flow_control_window": 1024 * 1024 };

async function serve(_place: Place, answer: Answer): Promise<string> {
  const server = new Server(OPTIONS);
  server.addService(
    { Echo: ECHO },
    {
      Echo: (call: ServerDuplexStream<Uint8Array, Uint8Array>): void => {
        call.on("data", (body: Uint8Array) => call.write(answer(body)));
        call.on("end", () => call.end());
        // A client that leaves cancels the stream.
        call.on("error", () => call.end());
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return String(port);
}

async function connect(port: string): Promise<EchoClient> {
  const connection = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), OPTIONS);
  const call = connection.makeBidiStreamRequest(ECHO.path, ECHO.requestSerialize, ECHO.responseDeserialize);
  let isClosed = false;
  const client: EchoClient = {
    replied: () => {},
    broken: () => {},
    send: (body) => {
      call.write(body);
    },
    close: () => {
      isClosed = true;
      call.cancel();
      connection.close();
    },
  };
  call.on("data", (body: Uint8Array) => client.replied(body));
  call.on("error", () => {
    connection.close();
    if (!isClosed) client.broken();
  });
  return client;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
