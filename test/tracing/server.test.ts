/**
 * The server and trace contexts: what it takes of clients, and what it gives them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, References, Schema, Stream, Tracer } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import { Parser } from "../../src/Parser.ts"
import { json, type PacketParser } from "../../src/protocol/PacketParser.ts"
import * as PacketType from "../../src/protocol/PacketType.ts"
import type { NamespaceHandle } from "../../src/server/NamespaceHandle.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { Shop } from "./shop.ts"
import {
  contextOf,
  linksOf,
  noPropagation,
  parentOf,
  type Recording,
  recording,
  SPAN,
  TRACE,
  traceparent,
  unsampled
} from "./spans.ts"

class Room extends Namespace.dynamic("/room/:name", {
  clientToServer: [Event.make("knock", { ack: Schema.String })]
}) {}

class Added extends Namespace.make("/added", {
  clientToServer: [Event.make("order", { payload: Schema.String, ack: Schema.String })]
}) {}

class Guard extends NamespaceMiddleware.Service<Guard>()("test/Guard", {
  refresh: { event: "auth", same: () => true }
}) {}

class Guarded extends Namespace.make("/guarded", {
  clientToServer: [Event.make("order", { payload: Schema.String, ack: Schema.String })]
}).middleware(Guard) {}

type ShopSocket = ServerSocket<typeof Shop>

/** The emits of a handler: to its socket, and to all of the namespace. */
type Bare = (socket: ShopSocket, all: NamespaceHandle<typeof Shop>) => Effect.Effect<unknown, unknown>

/** A shop whose handler of "bare" does what a test wants. */
const shop = (bare: Bare = () => Effect.void) =>
  Layer.mergeAll(
    SocketIoServer.layerNamespace(Shop, (socket) =>
      Effect.map(SocketIoServer.namespace(Shop), (all) =>
        Shop.of({
          order: Effect.succeed,
          several: ([one, two]) => Effect.succeed(`${one} ${two}`),
          bare: () => Effect.as(Effect.orDie(bare(socket, all)), "done"),
          pay: Effect.succeed
        })
      )
    ),
    SocketIoServer.layerDynamicNamespace(Room, () =>
      Effect.succeed(() => Effect.succeed(Room.of({ knock: () => Effect.succeed("come in") })))
    ),
    SocketIoServer.layerNamespace("/plain", (socket) => socket.on("say", () => Effect.succeed("said")))
  )

interface Setting {
  readonly options?: ServerOptions
  readonly bare?: Bare
}

const served = <A, E>(
  test: (recorded: Recording) => Effect.Effect<A, E, any>,
  { bare, options = {} }: Setting = {}
): Effect.Effect<A, E> => {
  const recorded = recording()
  const layer = shop(bare).pipe(Layer.provideMerge(TestSocketIo.layer(options)), Layer.provide(recorded.layer))
  return Effect.provide(Effect.scoped(test(recorded)), layer) as Effect.Effect<A, E>
}

/** A raw client in a namespace. */
const joined = Effect.fnUntraced(function* (namespace = "/shop", options: TestSocketIo.RawClientOptions = {}) {
  const peer = yield* TestSocketIo.rawClient(options)
  yield* peer.receive
  yield* peer.send(`40${namespace},`)
  const greeting = String(yield* peer.receive)
  /** Sends an event, and gives its answer. */
  const ask = (...data: ReadonlyArray<unknown>) =>
    Effect.andThen(peer.send(`42${namespace},1${JSON.stringify(data)}`), Effect.map(peer.receive, String))
  return { ...peer, greeting, ask }
})

const SENT = `${TRACE}/${SPAN}`

describe("the trace context of an event", () => {
  for (const [what, event, args, answer] of [
    ["one argument", "order", ["book"], '["book"]'],
    ["several arguments", "several", ["a", "b"], '["a b"]'],
    ["no argument", "bare", [], '["done"]']
  ] as const) {
    it.effect(`is right after ${what}, and names the parent of the handler's span`, () =>
      served(({ only }) =>
        Effect.gen(function* () {
          const { ask } = yield* joined()
          assert.strictEqual(yield* ask(event, ...args, { traceparent }), `43/shop,1${answer}`)
          const span = only(`socket.io ${event}`)
          assert.strictEqual(parentOf(span), SENT)
          assert.strictEqual(span.traceId, TRACE)
          assert.deepStrictEqual(linksOf(span), [])
        })
      )
    )
  }

  it.effect("is taken for handlers that a builder has added, too", () => {
    const recorded = recording()
    const added = SocketIoServer.layerNamespace(Added, (socket) =>
      Effect.as(
        socket.on("order", () => Effect.withSpan(Effect.void, "inner")),
        Added.of({ order: Effect.succeed })
      )
    ).pipe(Layer.provideMerge(TestSocketIo.layer()), Layer.provide(recorded.layer))
    return Effect.gen(function* () {
      const { ask } = yield* joined("/added")
      assert.strictEqual(yield* ask("order", "book", { traceparent }), '43/added,1["book"]')
      assert.strictEqual(recorded.only("inner").traceId, TRACE)
    }).pipe(Effect.scoped, Effect.provide(added))
  })

  it.effect("is taken for a refresh of rights, whose span knows nothing of the credentials", () => {
    const recorded = recording()
    const guarded = SocketIoServer.layerNamespace(Guarded, () =>
      Effect.succeed(Guarded.of({ order: Effect.succeed }))
    ).pipe(
      Layer.provide(Layer.succeed(Guard, () => Effect.withSpan(Effect.void, "verify"))),
      Layer.provideMerge(TestSocketIo.layer()),
      Layer.provide(recorded.layer)
    )
    return Effect.gen(function* () {
      const { ask } = yield* joined("/guarded")
      const answer = yield* ask("auth", { token: "secret" }, { traceparent })
      assert.strictEqual(answer, '43/guarded,1[{"_tag":"Success","value":{}}]')
      const span = recorded.only("socket.io auth")
      assert.strictEqual(parentOf(span), SENT)
      assert.notInclude(JSON.stringify(Array.from(span.attributes)), "secret")
      const verified = recorded.spans.filter(({ name }) => name === "verify")
      assert.deepStrictEqual(
        verified.map(({ traceId }) => traceId === TRACE),
        [false, true]
      )
    }).pipe(Effect.scoped, Effect.provide(guarded))
  })

  it.effect("of the opening request is a link of every handler's span", () =>
    served(({ only }) =>
      Effect.gen(function* () {
        const { ask } = yield* joined("/shop", { headers: { traceparent } })
        yield* ask("bare")
        yield* ask("order", "book", { traceparent })
        assert.deepStrictEqual(linksOf(only("socket.io bare")), [SENT])
        assert.isUndefined(parentOf(only("socket.io bare")))
        assert.deepStrictEqual(linksOf(only("socket.io order")), [SENT])
        assert.strictEqual(parentOf(only("socket.io order")), SENT)
      })
    )
  )

  it.effect("that is malformed, too long, or no text is ignored", () =>
    served(({ spans }) =>
      Effect.gen(function* () {
        const { ask } = yield* joined("/shop", { headers: { traceparent: `${traceparent}-more` } })
        const wrong = [
          "",
          "00",
          traceparent.slice(1),
          `${traceparent}0`,
          traceparent.replace("00-", "ff-"),
          traceparent.replace("00-", "01-"),
          traceparent.toUpperCase(),
          traceparent.replace(TRACE, "0".repeat(32)),
          traceparent.replace(SPAN, "0".repeat(16)),
          "-".repeat(55),
          "\u0000".repeat(55),
          "é".repeat(55),
          "0".repeat(100_000),
          5,
          null,
          [traceparent],
          { traceparent }
        ]
        for (const value of wrong) yield* ask("bare", { traceparent: value })
        for (const attributes of [traceparent, [traceparent], 5, null, {}]) yield* ask("bare", attributes)
        // Behind the declared arguments by one more, it is anything.
        yield* ask("bare", null, { traceparent })
        assert.lengthOf(spans, wrong.length + 6)
        for (const span of spans) {
          assert.isUndefined(parentOf(span))
          assert.deepStrictEqual(linksOf(span), [])
        }
      })
    )
  )

  it.effect("decides over sampling: the handler of an unsampled span is not sampled either", () =>
    served(({ only }) =>
      Effect.gen(function* () {
        const { ask } = yield* joined("/shop", { headers: { traceparent: unsampled } })
        yield* ask("bare", { traceparent: unsampled })
        const span = only("socket.io bare")
        assert.strictEqual(parentOf(span), SENT)
        assert.isFalse(span.sampled)
        // A link to a span that nobody keeps would lead nowhere.
        assert.deepStrictEqual(linksOf(span), [])
      })
    )
  )

  it.effect("is no parent, but a link, where clients are not trusted", () =>
    served(
      ({ only }) =>
        Effect.gen(function* () {
          const { ask } = yield* joined()
          yield* ask("bare", { traceparent: unsampled })
          const span = only("socket.io bare")
          assert.isUndefined(parentOf(span))
          assert.notStrictEqual(span.traceId, TRACE)
          assert.isTrue(span.sampled)
          assert.deepStrictEqual(linksOf(span), [SENT])
        }),
      { options: { tracing: { trust: "link" } } }
    )
  )

  it.effect("is not read where it is not wanted", () =>
    served(
      ({ only }) =>
        Effect.gen(function* () {
          const { ask } = yield* joined("/shop", { headers: { traceparent } })
          yield* ask("bare", { traceparent })
          const span = only("socket.io bare")
          assert.isUndefined(parentOf(span))
          assert.deepStrictEqual(linksOf(span), [])
        }),
      { options: { tracing: { trust: "none" } } }
    )
  )

  it.effect("is an argument like any other without a contract", () =>
    served(({ only }) =>
      Effect.gen(function* () {
        const { ask } = yield* joined("/plain")
        assert.strictEqual(yield* ask("say", { traceparent }), '43/plain,1["said"]')
        assert.isUndefined(parentOf(only("socket.io event")))
      })
    )
  )
})

describe("the names of spans", () => {
  it.effect("are OpenTelemetry's for messaging, if that is asked for", () =>
    served(
      ({ only, spans }) =>
        Effect.gen(function* () {
          const { greeting, ask, send } = yield* joined()
          const sid = JSON.parse(greeting.slice(greeting.indexOf("{"))).sid
          yield* send('42/shop,["order","book"]')
          yield* ask("bare")
          const plain = only("process order")
          assert.strictEqual(plain.kind, "consumer")
          assert.deepStrictEqual(Object.fromEntries(plain.attributes), {
            "messaging.system": "socket.io",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": "/shop",
            "messaging.client.id": sid,
            "socketio.event": "order"
          })
          assert.strictEqual(only("process bare").kind, "server")
          const room = yield* joined("/room/42")
          yield* Effect.andThen(room.send('42/room/42,1["knock"]'), room.receive)
          const knocked = only("process knock").attributes
          assert.strictEqual(knocked.get("messaging.destination.name"), "/room/42")
          assert.strictEqual(knocked.get("messaging.destination.template"), "/room/:name")
          const other = yield* joined("/plain")
          yield* other.ask("say")
          assert.strictEqual(spans.at(-1)!.name, "process /plain")
        }),
      { options: { tracing: { names: "messaging" } } }
    )
  )
})

const TRACED = { query: { fx: "1.trace" } }

/** The attributes after the arguments of an event, and the event without them. */
const opened = (packet: string) => {
  const [, head, text] = /^([^[]*)(\[.*)$/.exec(packet)!
  const data = JSON.parse(text!)
  const trace = data.find((value: any) => value?.traceparent !== undefined)
  const plain = `${head}${JSON.stringify(data.filter((value: unknown) => value !== trace))}`
  return { trace, at: data.indexOf(trace), plain }
}

describe("the trace context of what the server sends", () => {
  const sends: Record<string, Bare> = {
    "an event": (socket) => socket.emit("sold", "book"),
    "a question": (socket) => Effect.forkDetach(socket.emitWithAck("confirm", "book"), { startImmediately: true }),
    "a broadcast": (socket, all) => all.to(socket.id).emit("sold", "book"),
    "a broadcast with acknowledgements": (socket, all) =>
      Effect.forkDetach(Stream.runDrain(all.to(socket.id).emitWithAck("confirm", "book")), { startImmediately: true })
  }

  for (const [what, bare] of Object.entries(sends)) {
    for (const recovery of [false, true]) {
      it.effect(`goes with ${what} to clients that ask for it alone${recovery ? ", with recovery" : ""}`, () =>
        served(
          ({ only }) =>
            Effect.gen(function* () {
              const others = [yield* joined("/shop"), yield* joined("/shop", { query: { fx: "1" } })]
              const frames = yield* Effect.forEach(others, (peer) =>
                Effect.andThen(peer.send('42/shop,["bare"]'), Effect.map(peer.receive, String))
              )
              for (const frame of frames) assert.notInclude(frame, "traceparent")
              const traced = yield* joined("/shop", TRACED)
              const { fx } = JSON.parse(traced.greeting.slice(traced.greeting.indexOf("{")))
              assert.deepStrictEqual(fx.trace, { in: { several: 2, bare: 0 }, out: {} })
              yield* traced.send('42/shop,["bare"]')
              const { at, plain, trace } = opened(String(yield* traced.receive))
              // Right after the only argument, and before an offset.
              assert.strictEqual(at, 2)
              const span = yield* Effect.sync(() => only("third"))
              assert.deepStrictEqual(trace, { traceparent: contextOf(span) })
              // Nothing else differs, but for numbers of acknowledgements and offsets.
              const numbered = /(?<=,)\d+(?=\[)|"[\w-]{6}\.\w+"/g
              assert.strictEqual(plain.replace(numbered, "n"), frames[1]!.replace(numbered, "n"))
            }),
          {
            options: { recovery },
            bare: (() => {
              const names = ["first", "second", "third"]
              return (...about) => Effect.withSpan(bare(...about), names.shift()!)
            })()
          }
        )
      )
    }
  }

  /** The events of a client that asks for trace contexts, from a handler that emits "sold". */
  const received = (bare: Bare, options: ServerOptions = {}, sent: Readonly<Record<string, unknown>> = {}) =>
    served(
      () =>
        Effect.gen(function* () {
          const { receive, send } = yield* joined("/shop", TRACED)
          yield* send(`42/shop,${JSON.stringify(["bare", sent])}`)
          return JSON.parse(String(yield* receive).slice("42/shop,".length)) as ReadonlyArray<unknown>
        }),
      { bare, options }
    )

  it.effect("has the state of the trace that it goes on with", () =>
    Effect.gen(function* () {
      const sell: Bare = (socket) => Effect.withSpan(socket.emit("sold", "book"), "inner")
      const tracestate = "vendor=value,other=1"
      const [, , trace] = yield* received(sell, {}, { traceparent, tracestate })
      assert.include(trace as object, { tracestate })
      for (const wrong of ["", "ü", "x".repeat(257), "a\nb", 5, null]) {
        const [, , trace] = yield* received(sell, {}, { traceparent, tracestate: wrong })
        assert.deepStrictEqual(Object.keys(trace as object), ["traceparent"])
      }
    })
  )

  const NOTHING = ["sold", "book"]

  it.effect("is not there where the span is not sampled, or may not be propagated", () =>
    Effect.gen(function* () {
      const sell: Bare = (socket, all) => all.to(socket.id).emit("sold", "book")
      assert.deepStrictEqual(yield* received(sell, {}, { traceparent: unsampled }), NOTHING)
      assert.deepStrictEqual(yield* received((...about) => noPropagation(sell(...about))), NOTHING)
      const hidden = { annotations: Context.make(Tracer.DisablePropagation, true), root: true }
      assert.deepStrictEqual(yield* received((...about) => Effect.withSpan(sell(...about), "hidden", hidden)), NOTHING)
      assert.deepStrictEqual(
        yield* received((...about) => Effect.provideService(sell(...about), References.TracerEnabled, false)),
        NOTHING
      )
      // The nearest span that may be propagated is the parent of all that goes out.
      const [, , outer] = yield* received((...about) =>
        Effect.withSpan(sell(...about), "hidden", { annotations: hidden.annotations })
      )
      assert.isDefined(outer)
    })
  )

  it.effect("is not there without a contract, whose end of the arguments nobody knows", () =>
    Effect.gen(function* () {
      const sell: Bare = (socket) => socket.untyped.emit("sold", "book")
      assert.deepStrictEqual(yield* received(sell), NOTHING)
    })
  )

  it.effect("is not offered to clients of namespaces without a contract", () =>
    served(() =>
      Effect.gen(function* () {
        const { greeting } = yield* joined("/plain", TRACED)
        assert.deepStrictEqual(Object.keys(JSON.parse(greeting.slice(greeting.indexOf("{")))), ["sid"])
      })
    )
  )

  it.effect("is not shown to handlers of outgoing events", () =>
    Effect.gen(function* () {
      const shown: Array<unknown> = []
      const sell: Bare = (socket, all) =>
        Effect.gen(function* () {
          yield* socket.onAnyOutgoing((event, args) => Effect.sync(() => void shown.push([event, ...args])))
          yield* socket.emit("sold", "book")
          yield* all.to(socket.id).emit("sold", "book")
        }) as Effect.Effect<void>
      yield* received((socket, all) => Effect.scoped(sell(socket, all) as Effect.Effect<void>))
      assert.deepStrictEqual(shown, [NOTHING, NOTHING])
    })
  )

  it.effect("makes of a broadcast two messages at most, and one where nobody asks for it", () =>
    Effect.gen(function* () {
      const encoded: Array<string> = []
      const counting: PacketParser = {
        ...json,
        encode: (packet, mayHaveBinary) => {
          if (packet.type === PacketType.EVENT) encoded.push(JSON.stringify(packet.data))
          return json.encode(packet, mayHaveBinary)
        }
      }
      const sell: Bare = (_, all) => all.emit("sold", "book")
      const clients = (traced: number, others: number) =>
        served(
          () =>
            Effect.gen(function* () {
              const peers = yield* Effect.forEach(Array.from({ length: traced + others }), (_, i) =>
                joined("/shop", i < traced ? TRACED : {})
              )
              yield* peers[0]!.send('42/shop,["bare"]')
              yield* Effect.forEach(peers, ({ receive }) => receive)
              return encoded.splice(0).filter((data) => data.includes("book")).length
            }),
          { bare: sell }
        ).pipe(Effect.provideService(Parser, counting))
      assert.strictEqual(yield* clients(3, 3), 2)
      assert.strictEqual(yield* clients(0, 3), 1)
      assert.strictEqual(yield* clients(3, 0), 2)
    })
  )
})
