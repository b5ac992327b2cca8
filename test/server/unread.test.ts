/**
 * Large packets that come to nothing are not parsed: a CONNECT beyond the bound on auth payloads, and
 * an event that nobody handles. Their payloads are no JSON here, which would be a violation of the
 * protocol in anything that is read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { Parser } from "../../src/Parser.ts"
import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import type { SocketPacket } from "../../src/protocol/SocketPacket.ts"
import { EventRefused, type ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { openClient, type RawClient, transports, WebSocketClient } from "../support/RawClient.ts"
import { serve } from "../support/serve.ts"

class Chat extends Namespace.make("/chat", {
  clientToServer: [
    Event.make("ask", { payload: Schema.Unknown, ack: Schema.Int }),
    Event.make("quick", { ack: Schema.Int })
  ]
}) {}

const chat = SocketIoServer.layerNamespace(Chat, () =>
  Effect.succeed(Chat.of({ ask: () => Effect.succeed(1), quick: () => Effect.succeed(2) }))
)

/** A namespace without a contract; `prepare` registers what else it has. */
const plain = (
  prepare: (socket: ServerSocket<Namespace.Untyped>) => Effect.Effect<unknown, never, any> = () => Effect.void
) =>
  SocketIoServer.layerNamespace("/", (socket) =>
    Effect.andThen(
      prepare(socket) as Effect.Effect<unknown>,
      socket.on("sync", () => Effect.succeed("synced"))
    )
  )

/** Nothing that could be parsed. */
const NO_JSON = "{".repeat(20_000)

const opened = (client: () => Promise<RawClient>) =>
  Effect.acquireRelease(Effect.promise(client), (client) => Effect.promise(() => client.close()))

const ask = (client: RawClient, ...packets: ReadonlyArray<string | Uint8Array>) =>
  Effect.promise(async () => {
    await client.send(...packets)
    return String(await client.next())
  })

const joined = Effect.fnUntraced(function* (url: string) {
  const client = yield* opened(() => WebSocketClient.open(url))
  assert.match(yield* ask(client, "40"), /^40\{"sid"/)
  return client
})

describe("a CONNECT beyond the bound", () => {
  for (const transport of transports) {
    it.live(`is refused unread over ${transport}, and the connection goes on`, () =>
      Effect.gen(function* () {
        const { url } = yield* serve(Layer.merge(chat, plain()))
        const client = yield* opened(() => openClient(transport, url))
        assert.strictEqual(yield* ask(client, `40/chat,{${NO_JSON}`), '44/chat,{"message":"Auth payload too large"}')
        assert.strictEqual(yield* ask(client, `40{${NO_JSON}`), '44{"message":"Auth payload too large"}')
        assert.match(yield* ask(client, '40/chat,{"a":1}'), /^40\/chat,\{"sid"/)
        assert.strictEqual(yield* ask(client, '42/chat,1["quick"]'), "43/chat,1[2]")
      })
    )
  }

  it.live("is read where the bound is larger", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(chat, { limits: { maxAuthBytes: 100_000 } })
      const client = yield* opened(() => WebSocketClient.open(url))
      assert.match(yield* ask(client, `40/chat,{"a":"${"x".repeat(50_000)}"}`), /^40\/chat,\{"sid"/)
      yield* Effect.promise(() => client.send(`40/chat,{${NO_JSON}`))
      yield* Effect.promise(() => client.closed)
    })
  )

  it.live("does not end the connection's wait for an attachment", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(plain())
      const client = yield* joined(url)
      yield* Effect.promise(() => client.send('451-["sync",{"_placeholder":true,"num":0}]', `40/chat,{${NO_JSON}`))
      yield* Effect.promise(() => client.closed)
    })
  )
})

describe("a large event that nobody handles", () => {
  it.live("is answered unread where there is a contract", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* serve(chat)
      const client = yield* opened(() => WebSocketClient.open(url))
      yield* ask(client, "40/chat,")
      assert.include(yield* ask(client, `42/chat,7["nobody",${NO_JSON}`), "EventUnhandled")
      assert.include(yield* ask(client, `42/chat,["nobody",${NO_JSON}`, '42/chat,1["quick"]'), "43/chat,1[2]")
      assert.lengthOf(
        logs.filter((line) => line.includes("event without a handler")),
        2
      )
    })
  )

  it.live("is ignored unread where there is none", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(plain())
      const client = yield* joined(url)
      assert.strictEqual(yield* ask(client, `427["nobody",${NO_JSON}`, '421["sync"]'), '431["synced"]')
    })
  )

  // The arguments are part of it.
  for (const [who, prepare] of [
    ["a handler", (socket: ServerSocket<Namespace.Untyped>) => socket.on("somebody", () => Effect.void)],
    ["a handler of every event", (socket: ServerSocket<Namespace.Untyped>) => socket.onAny(() => Effect.void)],
    [
      "middleware",
      (socket: ServerSocket<Namespace.Untyped>) => socket.use(() => Effect.fail(new EventRefused({ message: "no" })))
    ],
    [
      "a reader of all events",
      (socket: ServerSocket<Namespace.Untyped>) =>
        Effect.forkScoped(Stream.runDrain(socket.events()), { startImmediately: true })
    ],
    [
      "a reader of the events of all sockets",
      () =>
        Effect.flatMap(SocketIoServer.namespace("/"), (all) =>
          Effect.forkScoped(Stream.runDrain(all.events()), { startImmediately: true })
        )
    ]
  ] as const) {
    it.live(`is read where ${who} sees it`, () =>
      Effect.gen(function* () {
        const { url } = yield* serve(plain(prepare))
        const client = yield* joined(url)
        yield* Effect.promise(() => client.send(`427["somebody",${NO_JSON}`))
        yield* Effect.promise(() => client.closed)
      })
    )
  }

  it.live("is read where its namespace was not joined, or its handlers are not there yet", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(plain(() => Effect.never))
      for (const packet of [`42/chat,["nobody",${NO_JSON}`, `42["nobody",${NO_JSON}`]) {
        const client = yield* joined(url)
        yield* Effect.promise(() => client.send(packet))
        yield* Effect.promise(() => client.closed)
      }
    })
  )
})

describe("with MessagePack", () => {
  const encoded = (packet: SocketPacket): Uint8Array =>
    (msgpack.encode(packet, true) as { readonly attachments: ReadonlyArray<Uint8Array> }).attachments[0]!

  /** A date beyond all dates, which nobody can read, and what makes the packet large. */
  const unreadable = (packet: SocketPacket): Uint8Array => {
    const bytes = encoded(packet)
    const at = Buffer.from(bytes).indexOf(Buffer.of(0xd7, 0))
    return bytes.fill(0x7f, at + 2, at + 10)
  }
  const payload = [new Date(0), "x".repeat(20_000)]

  it.live("both are not read either", () =>
    Effect.gen(function* () {
      const { url } = yield* Effect.provideService(serve(chat), Parser, msgpack)
      const client = yield* opened(() => WebSocketClient.open(url))
      const connect = (data?: unknown) => ({ type: 0, namespace: "/chat", id: undefined, data }) as const
      const event = (name: string) => ({ type: 2, namespace: "/chat", id: 7, data: [name, payload] }) as const
      assert.include(yield* ask(client, unreadable(connect({ payload }))), "Auth payload too large")
      assert.include(yield* ask(client, encoded(connect())), "sid")
      assert.include(yield* ask(client, unreadable(event("nobody"))), "EventUnhandled")
      yield* Effect.promise(() => client.send(unreadable(event("ask"))))
      yield* Effect.promise(() => client.closed)
    })
  )
})
