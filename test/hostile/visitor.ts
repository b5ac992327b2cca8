/**
 * Clients of this library at a server that may be hostile, in a process of their own: one for each
 * way to connect. Each asks all the time, and comes again whatever has happened. The process tells
 * its parent when asked how many answers they have had since it was asked before, and what was
 * logged that is a bug.
 */
import { Effect, Layer, Logger, Schedule, Schema, Scope, Stream } from "effect"

import * as Binary from "../../src/Binary.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import { memoryInUse } from "../support/memory.ts"

const Item = Schema.Struct({ name: Schema.String, count: Schema.Int, tags: Schema.Array(Schema.String) })

class Typed extends Namespace.make("/typed", {
  clientToServer: [Event.make("echo", { payload: Schema.Int, ack: Schema.Int })],
  serverToClient: [
    Event.make("typed", { payload: Item, ack: Schema.Int }),
    Event.make("bytes", { payload: Binary.Bytes }),
    Event.make("many", { args: [Schema.String, Schema.Finite] })
  ]
}) {}

const WAYS = [["polling"], ["websocket"], ["polling", "websocket"]] as const

/** Log lines that tell of a bug of the client. */
const bugs: Array<string> = []
const logger = Logger.make(({ cause, logLevel, message }) => {
  if (logLevel === "Error" || logLevel === "Fatal") bugs.push(`${String(message)} ${String(cause)}`)
})

const answers = WAYS.map(() => 0)

const insist = (holds: boolean, what: string) => {
  if (!holds) throw new Error(`a handler got something else than its ${what}`)
}

const visit = Effect.fnUntraced(function* (way: number) {
  const socket = yield* SocketIoClient.socket("/")
  const typed = yield* SocketIoClient.socket(Typed)
  yield* socket.respond("ask", (value) => Effect.succeed(value))
  yield* typed.respond("typed", ({ count, name, tags }) => {
    const strings = [name, ...tags].every((text) => typeof text === "string")
    insist(strings && Number.isSafeInteger(count), "payload")
    return Effect.succeed(count)
  })
  yield* typed.stream("bytes").pipe(
    Stream.runForEach((bytes) => Effect.sync(() => insist(bytes instanceof Uint8Array, "bytes"))),
    Effect.forkScoped
  )
  yield* Effect.forkScoped(Stream.runDrain(socket.events({ overflow: "dropOldest" })))
  for (let n = 0; ; n++) {
    // A server that refuses is asked again.
    for (const one of [socket, typed]) {
      if (!one.connected) yield* Effect.ignore(Effect.timeout(one.reconnect(), "50 millis"))
    }
    const ask = Effect.all([socket.emitWithAck("echo", n), typed.emitWithAck("echo", n)], { concurrency: 2 })
    const got = yield* Effect.option(Effect.timeout(ask, "100 millis"))
    if (got._tag === "Some" && got.value[0][0] === n && got.value[1] === n) answers[way]!++
    yield* Effect.sleep("5 millis")
  }
})

const client = (url: string, transports: (typeof WAYS)[number], way: number) =>
  visit(way).pipe(
    Effect.provide(
      SocketIoClient.layer({
        url,
        transports,
        connectTimeout: "500 millis",
        reconnection: Schedule.spaced("5 millis")
      }).pipe(Layer.provide(NodeClientPlatform.layer))
    ),
    Effect.scoped
  )

process.once("disconnect", () => process.exit(1))

process.on("message", ({ url }: { readonly url?: string }) => {
  if (url === undefined) {
    process.send!({ bugs, answers: [...answers], memory: memoryInUse() })
    return void answers.fill(0)
  }
  for (const [way, transports] of WAYS.entries()) {
    void Effect.runPromise(
      client(url, transports, way).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(Scope.Scope, Scope.makeUnsafe())
      )
    )
  }
  process.send!({ bugs, answers: [...answers], memory: 0 })
})
process.send?.("ready")
