/**
 * A parser of one's own, on both sides: packets as plain JSON, as `socket.io-json-parser` has it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue } from "effect"

import type * as Namespace from "../../src/Namespace.ts"
import { Parser } from "../../src/Parser.ts"
import type { PacketParser } from "../../src/protocol/PacketParser.ts"
import { make } from "../../src/protocol/ProtocolError.ts"
import type { SocketPacket } from "../../src/protocol/SocketPacket.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { transports, WebSocketClient } from "../support/RawClient.ts"
import { call, connect, next, serve } from "../support/serve.ts"

/** The server's side. */
const ours: PacketParser = {
  encode: ({ data, id, namespace, type }) => {
    try {
      return { text: JSON.stringify({ type, nsp: namespace, data, id }), attachments: undefined }
    } catch (cause) {
      return make("not encodable", String(cause))
    }
  },
  makeDecoder: () => ({
    pending: 0,
    text: (message, offset) => {
      try {
        const { data, id, nsp, type } = JSON.parse(message.slice(offset))
        return { type, namespace: nsp, id, data } as SocketPacket
      } catch {
        return make("invalid payload")
      }
    },
    binary: () => make("unexpected binary")
  })
}

/** The client's side, as the official client takes it. */
class Decoder {
  private listener: ((packet: unknown) => void) | undefined
  on(_event: "decoded", listener: (packet: unknown) => void): void {
    this.listener = listener
  }
  off(): void {}
  add(message: string): void {
    this.listener?.(JSON.parse(message))
  }
  destroy(): void {}
}
class Encoder {
  encode(packet: unknown): ReadonlyArray<unknown> {
    return [JSON.stringify(packet)]
  }
}
const theirs = { Encoder, Decoder }

describe("a parser of one's own", () => {
  for (const transport of transports) {
    it.live(`carries connections, events and acknowledgements over ${transport}`, () =>
      Effect.gen(function* () {
        const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
        const { url } = yield* Effect.provideService(
          serve(
            Layer.mergeAll(
              SocketIoServer.layerNamespace("/", () => Effect.void),
              SocketIoServer.layerNamespace("/room", (socket) =>
                Effect.andThen(
                  socket.on("add", (a, b) => Effect.succeed(Number(a) + Number(b))),
                  Effect.asVoid(Queue.offer(sockets, socket))
                )
              )
            )
          ),
          Parser,
          ours
        )
        const socket = yield* connect(`${url}/room`, { transports: [transport], parser: theirs })
        const server = yield* Queue.take(sockets)
        assert.strictEqual(socket.id, server.id)
        assert.strictEqual(yield* call(socket, "add", 1, 2), 3)
        const said = next(socket, "said")
        yield* server.to([]).emit("said", "not to itself")
        yield* server.emit("said", { a: [1] })
        assert.deepStrictEqual(yield* said, [{ a: [1] }])
        const gone = next(socket, "disconnect")
        yield* server.disconnect()
        assert.strictEqual((yield* gone)[0], "io server disconnect")
      })
    )
  }

  it.live("closes the connection of a client that uses another one", () =>
    Effect.gen(function* () {
      const { url } = yield* Effect.provideService(
        serve(SocketIoServer.layerNamespace("/", () => Effect.void)),
        Parser,
        ours
      )
      const raw = yield* Effect.promise(() => WebSocketClient.open(url))
      yield* Effect.promise(() => raw.send("40"))
      yield* Effect.promise(() => raw.closed)
    })
  )
})
