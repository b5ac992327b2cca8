/**
 * Events that come to nothing: those that nobody handles, those whose payload is refused, and those whose handler dies. Whoever waits
 * for an answer gets one, and the log says what to do.
 */
import { createRequire } from "node:module"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Metric, References, Result, Schema, Stream } from "effect"
import type { LogLevel } from "effect/LogLevel"
import { io } from "socket.io-client"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import { EventRefused } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { within } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"

/** The package of version 2 has no types. */
const ioV2: typeof io = createRequire(import.meta.url)("socket.io-client-v2")

const events = [
  Event.make("ask", { payload: { text: Schema.String }, ack: Schema.Int }),
  Event.make("note", { payload: Schema.String }),
  Event.make("page", { ack: Schema.Struct({ next: Schema.optionalKey(Schema.String) }) }),
  Event.make("quick", { ack: Schema.Int, rateLimit: { limit: 0.001, burst: 1 } })
] as const

class Chat extends Namespace.make("/chat", { clientToServer: events }) {}

/** The contract of a client that is newer than the server. */
class Newer extends Namespace.make("/chat", {
  clientToServer: [...events, Event.make("new", { ack: Schema.Int }), Event.make("newer", { ack: Schema.Void })]
}) {}

const handlers = {
  ask: ({ text }: { readonly text: string }) => Effect.succeed(text.length),
  note: () => Effect.void,
  page: () => Effect.die(new Error("boom")),
  quick: () => Effect.succeed(1)
}

const chat = SocketIoServer.layerNamespace(Chat, () => Effect.succeed(Chat.of(handlers)))

const failure = (_tag: string, rest: object = {}) => ({ _tag: "Failure", error: { _tag, ...rest } })

const unhandled = failure("EventUnhandled", { message: "the server handles no event of this name" })

const refusedPayload = failure("PayloadRefused", { message: 'Missing key at ["text"]' })

interface Line {
  readonly level: LogLevel
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** A server of namespaces in memory, and the lines that it logs. */
const logged = (namespaces: Layer.Layer<never, never, SocketIoServer.SocketIoServer>, level: LogLevel = "Info") => {
  const lines: Array<Line> = []
  const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    lines.push({ level: logLevel, message: String([message].flat()[0]), annotations })
  })
  const layer = namespaces.pipe(
    Layer.provideMerge(TestSocketIo.layer({ drainTimeout: 0 })),
    Layer.provide(Logger.layer([logger])),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, level))
  )
  return { layer, lines }
}

/** Sends packets to a namespace, and gives the acknowledgement of the last of them. */
const sent = Effect.fnUntraced(function* (namespace: string, ...packets: ReadonlyArray<string>) {
  const raw = yield* TestSocketIo.rawClient()
  yield* raw.send(`40${namespace}`)
  yield* raw.receive
  yield* raw.receive
  for (const packet of packets) yield* raw.send(packet)
  return String(yield* raw.receive)
})

describe("an official client that waits for an acknowledgement", () => {
  for (const [version, client] of [
    ["4", io],
    ["2", ioV2]
  ] as const) {
    it.live(`of version ${version} learns that its payload was refused, and that nobody handles its event`, () =>
      Effect.gen(function* () {
        const { url } = yield* serve(chat, { allowEIO3: true })
        const socket = client(`${url}/chat`, { forceNew: true, reconnection: false })
        yield* Effect.addFinalizer(() => Effect.sync(() => socket.disconnect()))
        const ask = (event: string, ...args: ReadonlyArray<unknown>) =>
          Effect.promise(() =>
            within(event, new Promise<unknown>((resolve) => void socket.emit(event, ...args, resolve)))
          )
        assert.strictEqual(yield* ask("ask", { text: "abc" }), 3)
        assert.deepStrictEqual(yield* ask("ask", { txt: "abc" }), refusedPayload)
        assert.deepStrictEqual(yield* ask("aks", { text: "abc" }), unhandled)
        assert.deepStrictEqual(yield* ask("page"), failure("InternalError"))
        assert.strictEqual(yield* ask("note", "still there"), undefined)
      })
    )
  }

  it.live("learns that middleware or a rate limit has refused an event that declares no failures", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(
          Chat,
          Effect.fnUntraced(function* (socket) {
            yield* socket.use(({ event }) =>
              event === "ask" ? Effect.fail(new EventRefused({ message: "not now" })) : Effect.void
            )
            return Chat.of(handlers)
          })
        )
      )
      const socket = yield* connect(`${url}/chat`)
      assert.deepStrictEqual(
        yield* call(socket, "ask", { text: "abc" }),
        failure("EventRefused", { message: "not now" })
      )
      assert.strictEqual(yield* call(socket, "quick"), 1)
      const limited = yield* call(socket, "quick")
      assert.deepInclude(limited.error, { _tag: "EventRefused", message: "rate limit exceeded" })
    })
  )

  it.live("gets none of an event without a contract that nobody handles: its timeout tells it", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.void)))
      const socket = yield* connect(url)
      const answers: Array<unknown> = []
      socket.emit("nobody", (answer: unknown) => answers.push(answer))
      yield* call(socket, "sync")
      assert.deepStrictEqual(answers, [])
      const error = yield* Effect.promise(() =>
        socket
          .timeout(1)
          .emitWithAck("nobody")
          .catch((error: Error) => error)
      )
      assert.instanceOf(error, Error)
    })
  )
})

describe("a client of this library that waits for an acknowledgement", () => {
  it.effect("fails with the reason: nobody handles the event, its payload was refused, its handler died", () =>
    Effect.gen(function* () {
      const socket = yield* SocketIoClient.connect(Newer)
      const reason = <A>(asking: Effect.Effect<A, { readonly reason: { readonly _tag: string } }>) =>
        Effect.map(Effect.result(asking), (result) =>
          Result.isFailure(result) ? result.failure.reason._tag : result.success
        )
      assert.strictEqual(yield* reason(socket.emitWithAck("new")), "EventNotHandled")
      assert.strictEqual(yield* reason(socket.emitWithAck("newer")), "EventNotHandled")
      // Also where all of an acknowledgement may be missing.
      assert.strictEqual(yield* reason(socket.emitWithAck("page")), "HandlerFailed")
      assert.strictEqual(yield* reason(socket.emitWithAck("ask", { text: "abc" })), 3)
    }).pipe(Effect.provide(logged(chat).layer))
  )
})

describe("an event that comes to nothing", () => {
  it.effect("is a warning by default, which names it, its namespace and socket, and what to do about it", () => {
    const { layer, lines } = logged(chat)
    return Effect.gen(function* () {
      const answer = yield* sent("/chat,", '42/chat,["aks",1]', '42/chat,["note",1]', '42/chat,7["ask",{"text":"abc"}]')
      assert.strictEqual(answer, "43/chat,7[3]")
      assert.deepStrictEqual(
        lines.map(({ annotations: { event, namespace, sid }, level, message }) => [
          level,
          message,
          event,
          namespace,
          typeof sid
        ]),
        [
          ["Warn", "event without a handler", "aks", "/chat", "string"],
          ["Warn", "payload refused", "note", "/chat", "string"]
        ]
      )
      assert.include(String(lines[0]!.annotations.hint), "clientToServer")
      assert.strictEqual(lines[1]!.annotations.description, "Expected string")
      assert.include(String(lines[1]!.annotations.hint), "schema")
    }).pipe(Effect.provide(layer))
  })

  it.effect("is a warning without a contract, too, unless somebody sees every event", () => {
    const sync = (name: string, prepare: (socket: any) => Effect.Effect<void> = () => Effect.void) =>
      SocketIoServer.layerNamespace(name, (socket) =>
        Effect.andThen(
          prepare(socket),
          socket.on("sync", () => Effect.void)
        )
      )
    const { layer, lines } = logged(
      Layer.mergeAll(
        sync("/"),
        sync("/any", (socket) => socket.onAny(() => Effect.void)),
        sync(
          "/read",
          (socket) =>
            Effect.asVoid(
              Effect.forkScoped(Stream.runDrain(socket.stream("nobody")), { startImmediately: true })
            ) as Effect.Effect<void>
        )
      )
    )
    return Effect.gen(function* () {
      for (const namespace of ["", "/any,", "/read,"]) {
        assert.strictEqual(
          yield* sent(namespace, `42${namespace}["nobody"]`, `42${namespace}7["sync"]`),
          `43${namespace}7[]`
        )
      }
      assert.deepStrictEqual(
        lines.map(({ annotations, message }) => [message, annotations.namespace]),
        [["event without a handler", "/"]]
      )
      assert.include(String(lines[0]!.annotations.hint), "socket.on")
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not logged where warnings are not", () => {
    const { layer, lines } = logged(chat, "Error")
    return Effect.gen(function* () {
      yield* sent("/chat,", '42/chat,["aks",1]', '42/chat,["note",1]', '42/chat,7["ask",{"text":"abc"}]')
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(layer))
  })

  it.effect("is counted by its namespace if nobody handles it", () =>
    Effect.gen(function* () {
      yield* sent("/chat,", '42/chat,["aks"]', '42/chat,["kas"]', '42/chat,7["ask",{"text":"abc"}]')
      const series = Metric.withAttributes(ServerMetrics.eventsUnhandled, { namespace: "/chat" })
      assert.strictEqual((yield* Metric.value(series)).count, 2)
    }).pipe(Effect.provide(logged(chat).layer), Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})
