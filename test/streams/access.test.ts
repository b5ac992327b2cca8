/**
 * Rights to start, read and stop streams, and their numbers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Metric, Queue, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as Binary from "../../src/Binary.ts"
import * as SocketStream from "../../src/client/SocketStream.ts"
import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type * as Once from "../../src/Once.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"
import * as StreamLog from "../../src/streams/StreamLog.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { PollingClient } from "../support/RawClient.ts"
import { call, connect, next, open, serve } from "../support/serve.ts"
import { read } from "./officialReader.ts"

const Auth = Schema.Struct({ user: Schema.String })

class CurrentUser extends Context.Service<CurrentUser, string>()("streams/CurrentUser") {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("streams/Authentication", {
  provides: CurrentUser,
  auth: Auth
}) {}

const AuthenticationLive = Layer.succeed(Authentication, ({ auth }) => Effect.succeed(auth.user))

const Payload = { chat: Schema.String }

const Shared = StreamEvent.make("shared", { payload: Payload, item: Schema.String, key: ({ chat }) => chat })
const Owned = StreamEvent.make("owned", {
  payload: Payload,
  item: Schema.String,
  key: ({ chat }) => chat,
  owner: (socket: Once.OwnerSocket<{ readonly user: string }>) => socket.auth.user
})
const Ruled = StreamEvent.make("ruled", { payload: Payload, item: Schema.String, key: ({ chat }) => chat })
const Image = StreamEvent.make("image", { item: Schema.Struct({ name: Schema.String, bytes: Binary.Bytes }) })
const Wrong = StreamEvent.make("wrong", { payload: Schema.Literals(["throws", "value"]), item: Schema.Int })
const Once_ = StreamEvent.make("once", { item: Schema.String, once: {} })

class Chat extends Namespace.make("/chat", { auth: Auth })
  .add(Shared)
  .add(Owned)
  .add(Ruled)
  .add(Image)
  .add(Wrong)
  .add(Once_)
  .middleware(Authentication) {}

class Slow extends Namespace.make("/slow").add(
  StreamEvent.make("slow", { payload: Schema.String, item: Schema.String, key: (key) => key })
) {}

const endless = Stream.concat(Stream.make("begun"), Stream.never)

const images = Array.from({ length: 20 }, (_, i) => ({ name: `${i}`, bytes: new Uint8Array([i, i, i]) }))

const chatWith = (asked: Queue.Queue<object>, limits: StreamLog.Limits = {}) =>
  SocketIoServer.layerNamespace(Chat, () =>
    Effect.succeed(
      Chat.of({
        shared: () => endless,
        owned: () => endless,
        ruled: {
          stream: () => endless,
          allow: (access) =>
            Effect.gen(function* () {
              const user = yield* CurrentUser
              yield* Queue.offer(asked, { user, ...access })
              return access.key === "open" || user === "ada"
            })
        },
        image: () => Stream.fromIterable(images),
        wrong: (how) => {
          if (how === "throws") throw new Error("thrown")
          return Stream.make(1, 0.5)
        },
        once: () => endless
      })
    )
  ).pipe(Layer.provide(AuthenticationLive), Layer.provide(StreamLog.layerMemory(limits)))

const world = Effect.fnUntraced(function* (limits: StreamLog.Limits = {}) {
  const asked = yield* Queue.unbounded<object>()
  const serving = yield* serve(chatWith(asked, limits))
  const as = (user: string, options: object = {}) => connect(`${serving.url}/chat`, { auth: { user }, ...options })
  return { ...serving, as, asked }
})

const refused = (message: string, data: unknown) => ({
  _tag: "Failure",
  error: { _tag: "EventRefused", message, data }
})

const gone = { gone: true, from: 0 }
const there = { gone: false, from: 0 }

describe("a stream with an owner", () => {
  it.live("is found, read and stopped by its owner alone, over any connection", () =>
    Effect.gen(function* () {
      const { as } = yield* world()
      const [ada, also, eve] = [yield* as("ada"), yield* as("ada"), yield* as("eve")]
      const { stream } = yield* call(ada, "owned", { chat: "1" })
      assert.strictEqual(yield* call(also, "owned:find", "1"), stream)
      assert.deepStrictEqual(yield* call(also, "owned:read", { stream, after: 0 }), there)
      assert.isNull(yield* call(eve, "owned:find", "1"))
      assert.deepStrictEqual(yield* call(eve, "owned:read", { stream, after: 0 }), gone)
      assert.deepStrictEqual(yield* call(eve, "owned:stop", { stream }), { gone: true })
      const hers = yield* call(eve, "owned", { chat: "1" })
      assert.notStrictEqual(hers.stream, stream)
      assert.strictEqual((yield* call(also, "owned", { chat: "1" })).stream, stream)
      assert.deepStrictEqual(yield* call(also, "owned:stop", { stream }), { gone: false })
    })
  )
})

describe("a stream without an owner", () => {
  it.live("has no key that is easy to guess", () =>
    Effect.gen(function* () {
      const { as } = yield* world()
      const ada = yield* as("ada")
      const answer = refused("the key of a stream must be hard to guess", { key: "invalid" })
      assert.deepStrictEqual(yield* call(ada, "shared", { chat: "123456789012345" }), answer)
      assert.deepStrictEqual(yield* call(ada, "shared", { chat: "x".repeat(257) }), answer)
      assert.isNull(yield* call(ada, "shared:find", "1"))
      assert.isString((yield* call(ada, "shared", { chat: "1234567890123456" })).stream)
    })
  )
})

describe("a stream of a dynamic namespace", () => {
  it.live("belongs to that namespace alone", () =>
    Effect.gen(function* () {
      class Rooms extends Namespace.dynamic("/room/:id").add(Shared) {}
      const { url } = yield* serve(
        SocketIoServer.layerDynamicNamespace(Rooms, () =>
          Effect.succeed(() => Effect.succeed(Rooms.of({ shared: () => endless })))
        )
      )
      const [one, two] = [yield* connect(`${url}/room/1`), yield* connect(`${url}/room/2`)]
      const chat = "a".repeat(20)
      const { stream } = yield* call(one, "shared", { chat })
      assert.deepStrictEqual(yield* call(one, "shared:read", { stream, after: 0 }), there)
      assert.deepStrictEqual(yield* call(two, "shared:read", { stream, after: 0 }), gone)
      assert.isNull(yield* call(two, "shared:find", chat))
      assert.notStrictEqual((yield* call(two, "shared", { chat })).stream, stream)
    })
  )
})

describe("the rule of a handler", () => {
  it.live("is interrupted when the client that asks has left, wherever it is asked", () =>
    Effect.gen(function* () {
      const asked = yield* Queue.unbounded<string>()
      const interrupted = yield* Queue.unbounded<string>()
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Slow, () =>
          Effect.succeed(
            Slow.of({
              slow: {
                stream: () => endless,
                allow: ({ action }) =>
                  Effect.andThen(
                    Queue.offer(asked, action),
                    Effect.onInterrupt(Effect.never, () => Queue.offer(interrupted, action))
                  )
              }
            })
          )
        )
      )
      const owner = yield* connect(`${url}/slow`)
      const { stream } = yield* call(owner, "slow", "key")
      for (const [event, payload, action] of [
        ["slow", "key", "read"],
        ["slow:find", "key", "read"],
        ["slow:read", { stream, after: 0 }, "read"],
        ["slow:stop", { stream }, "stop"]
      ] as const) {
        const socket = yield* connect(`${url}/slow`)
        socket.emit(event, payload, () => {})
        assert.strictEqual(yield* Queue.take(asked), action)
        socket.disconnect()
        assert.strictEqual(yield* Queue.take(interrupted), action, event)
      }
    })
  )

  it.live("decides on reading and stopping, with the services of the socket that asks", () =>
    Effect.gen(function* () {
      const { as, asked } = yield* world()
      const [ada, eve] = [yield* as("ada"), yield* as("eve")]
      const secret = yield* call(ada, "ruled", { chat: "secret" })
      assert.isNull(yield* call(eve, "ruled:find", "secret"))
      assert.deepStrictEqual(yield* call(eve, "ruled:read", { stream: secret.stream, after: 0 }), gone)
      assert.deepStrictEqual(yield* call(eve, "ruled:stop", { stream: secret.stream }), { gone: true })
      assert.deepStrictEqual(
        yield* call(eve, "ruled", { chat: "secret" }),
        refused("the stream of this key is not for this client", { key: "refused" })
      )
      assert.deepStrictEqual(yield* call(ada, "ruled:read", { stream: secret.stream, after: 0 }), there)
      const open = yield* call(ada, "ruled", { chat: "open" })
      assert.strictEqual(yield* call(eve, "ruled:find", "open"), open.stream)
      assert.deepStrictEqual(yield* call(eve, "ruled:stop", { stream: open.stream }), { gone: false })
      const access = { owner: undefined, key: "secret" }
      assert.deepStrictEqual((yield* Queue.takeAll(asked)).slice(0, 4), [
        { user: "eve", action: "read", ...access },
        { user: "eve", action: "read", ...access },
        { user: "eve", action: "stop", ...access },
        { user: "eve", action: "read", ...access }
      ])
    })
  )
})

describe("the bounds of streams", () => {
  it.live("of one client: the owner, or the connection", () =>
    Effect.gen(function* () {
      const { as } = yield* world({ maxRunningPerClient: 2 })
      const answer = refused("as many streams run as may (maxRunningPerClient)", { bound: "maxRunningPerClient" })
      const ada = yield* as("ada")
      yield* call(ada, "owned", { chat: "1" })
      const second = yield* call(ada, "owned", { chat: "2" })
      assert.deepStrictEqual(yield* call(yield* as("ada"), "owned", { chat: "3" }), answer)
      yield* call(ada, "owned:stop", { stream: second.stream })
      assert.isString((yield* call(ada, "owned", { chat: "3" })).stream)
      yield* call(ada, "once", { id: "the first of two ids" })
      yield* call(ada, "once", { id: "the second of two ids" })
      assert.deepStrictEqual(yield* call(ada, "once", { id: "one more than two ids" }), answer)
    })
  )

  it.live("of readers: of one stream, and of one connection, until they have read or left", () =>
    Effect.gen(function* () {
      const { as } = yield* world({ maxReaders: 2, maxReadersPerConnection: 2 })
      const [ada, eve, bob] = [yield* as("ada"), yield* as("eve"), yield* as("bob")]
      const chats = yield* Effect.forEach(["a", "b", "c"], (name) => call(ada, "shared", { chat: name.repeat(20) }))
      const [a, b, c] = chats.map(({ stream }) => stream as string)
      const ask = (socket: typeof ada, stream: string | undefined, window?: number) =>
        call(socket, "shared:read", { stream, after: 0, ...(window === undefined ? {} : { window }) })
      const full = (bound: string) => refused(`the stream cannot be read now (${bound})`, { bound })
      assert.deepStrictEqual(yield* ask(ada, a), there)
      // The same reader once more.
      assert.deepStrictEqual(yield* ask(ada, a), there)
      assert.deepStrictEqual(yield* ask(ada, b), there)
      assert.deepStrictEqual(yield* ask(ada, c), full("maxReadersPerConnection"))
      assert.deepStrictEqual(yield* ask(eve, a), there)
      assert.deepStrictEqual(yield* ask(bob, a), full("maxReaders"))
      // With the window 0 a client reads no more.
      assert.deepStrictEqual(yield* ask(ada, a, 0), there)
      assert.deepStrictEqual(yield* ask(bob, a), there)
      assert.deepStrictEqual(yield* ask(ada, c), there)
      yield* call(ada, "shared:stop", { stream: b })
      assert.deepStrictEqual(yield* ask(eve, b), there)
    })
  )

  it.live("of bytes hold for readers that do not read: they are told that values are missing", () =>
    Effect.gen(function* () {
      const { as } = yield* world({ maxStreamsPerClient: 1 })
      const ada = yield* as("ada")
      const { stream } = yield* call(ada, "image")
      const reader = yield* read(ada, "image", stream, 0, 1)
      yield* reader.has(1)
      // Another one takes its place.
      yield* call(ada, "image")
      yield* reader.gap
      assert.strictEqual(reader.values.length, 1)
      assert.deepStrictEqual(yield* reader.ask(), gone)
    })
  )

  it.live("hold against nonsense", () =>
    Effect.gen(function* () {
      const { as } = yield* world()
      const ada = yield* as("ada")
      const { stream } = yield* call(ada, "shared", { chat: "a".repeat(20) })
      for (const [event, payload] of [
        ["shared:read", { stream, after: 1.5 }],
        ["shared:read", { stream, after: 0, window: 10_001 }],
        ["shared:read", { stream: "x".repeat(65), after: 0 }],
        ["shared:read", { stream: { toString: "x" }, after: 0 }],
        ["shared:stop", null],
        ["shared:find", "x".repeat(257)],
        ["shared:find", { key: "x" }]
      ] as const) {
        const answer = yield* call(ada, event, payload)
        assert.strictEqual(answer.error?._tag, "PayloadRefused", `${event} ${JSON.stringify(payload)}`)
      }
      ada.emit("shared:ack", { stream: "none", at: 7 })
      ada.emit("shared:ack", { stream, at: 7 })
      // A position that the stream has not reached is that of its end.
      const reader = yield* read(ada, "shared", stream, 1_000_000)
      yield* call(ada, "shared:stop", { stream })
      assert.deepStrictEqual(yield* reader.end, { _tag: "Stopped" })
    })
  )
})

describe("the work of a stream", () => {
  it.live("is an internal error if its handler throws, or its values are of another type", () =>
    Effect.gen(function* () {
      const { as, logs } = yield* world()
      const ada = yield* as("ada")
      for (const [how, values, logged] of [
        ["throws", [], "thrown"],
        ["value", [], 'a value of "wrong"']
      ] as const) {
        const { stream } = yield* call(ada, "wrong", how)
        const reader = yield* read(ada, "wrong", stream)
        assert.deepStrictEqual(yield* reader.end, { _tag: "InternalError" })
        assert.deepStrictEqual(reader.values, [...values])
        assert.isTrue(
          logs.some((line) => line.includes("a stream failed") && line.includes(logged)),
          logged
        )
      }
    })
  )

  it.live("starts once for a message with an id, however often it comes", () =>
    Effect.gen(function* () {
      const { as } = yield* world()
      const [ada, also] = [yield* as("ada"), yield* as("ada")]
      const id = "an id that is hard to guess"
      const { stream } = yield* call(ada, "once", { id })
      assert.deepStrictEqual(yield* call(also, "once", { id }), { stream })
    })
  )

  for (const transports of [["websocket"], ["polling"]]) {
    it.live(`gives bytes as attachments, over ${transports[0]}`, () =>
      Effect.gen(function* () {
        const { as } = yield* world()
        const ada = yield* as("ada", { transports })
        const { stream } = yield* call(ada, "image")
        const reader = yield* read(ada, "image", stream)
        yield* reader.end
        assert.deepStrictEqual(
          reader.values.map(({ bytes, name }) => [name, Array.from(new Uint8Array(bytes))]),
          images.map(({ bytes, name }) => [name, Array.from(bytes)])
        )
      })
    )
  }

  it.live("ends with the layer of its namespace, and its readers are told", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      class Work extends Namespace.make("/work").add(Image) {}
      const { server, url } = yield* serve(Layer.empty)
      const WorkLive = SocketIoServer.layerNamespace(Work, () =>
        Effect.succeed(
          Work.of({ image: () => Stream.ensuring(Stream.never, Deferred.succeed(interrupted, undefined)) })
        )
      )
      const close = yield* open(server, WorkLive)
      const socket = yield* connect(`${url}/work`)
      const reader = yield* read(socket, "image", (yield* call(socket, "image")).stream)
      const left = next(socket, "disconnect")
      yield* close
      yield* Deferred.await(interrupted)
      yield* left
      assert.deepStrictEqual(yield* reader.end, { _tag: "Lost" })
    })
  )
})

describe("a reader that is slow", () => {
  const Long = StreamEvent.make("long", { item: Schema.String })
  class Texts extends Namespace.make("/texts").add(Long) {}
  const line = "x".repeat(1_000)
  const LINES = 2_000

  const slow = (options: ServerOptions) =>
    SocketIoServer.layerNamespace(Texts, () =>
      Effect.succeed(Texts.of({ long: () => Stream.map(Stream.range(1, LINES), (n) => `${n} ${line}`) }))
    ).pipe(Layer.provideMerge(TestSocketIo.layer(options)))

  it.effect("does not fill its outbox, and gets everything in the end", () =>
    Effect.gen(function* () {
      const { client } = yield* TestSocketIo.TestSocketIo
      const socket = yield* client.connect(Texts)
      const long = yield* SocketStream.start(socket, "long")
      const reading = yield* Effect.forkChild(Stream.runCollect(long.values({ window: 10_000 })), {
        startImmediately: true
      })
      yield* client.network.stall
      yield* TestClock.adjust("5 seconds")
      yield* client.network.restore
      while (reading.pollUnsafe() === undefined) yield* TestClock.adjust("10 millis")
      assert.isTrue(socket.connected)
      const exit = reading.pollUnsafe()!
      assert.deepStrictEqual(
        exit._tag === "Success" ? exit.value.map((text) => Number(text.split(" ")[0])) : exit.cause,
        Array.from({ length: LINES }, (_, i) => i + 1)
      )
      // The connection was never closed: 2 MB would not have fitted into its outbox.
    }).pipe(Effect.provide(slow({ limits: { maxOutbox: 200_000 } })))
  )

  it.live("makes the server hold no more for it, however often it asks", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        SocketIoServer.layerNamespace(Texts, () =>
          Effect.succeed(Texts.of({ long: () => Stream.map(Stream.range(1, LINES), (n) => `${n} ${line}`) }))
        )
      )
      const held = Effect.map(Metric.value(EngineMetrics.outboxBytes), ({ value }) => value)
      const honest = yield* connect(`${url}/texts`)
      const { stream } = yield* call(honest, "long")
      // A client over polling that never polls.
      const sid = yield* Effect.promise(() => PollingClient.handshake(url))
      const silent = new PollingClient(url, sid, false)
      const ask = `42/texts,1["long:read",{"stream":"${stream}","after":0}]`
      yield* Effect.promise(async () => {
        await silent.post("40/texts,")
        for (let i = 0; i < 10; i++) await silent.post(Array.from({ length: 100 }, () => ask).join("\x1e"))
      })
      // Its reading has begun, and stands still.
      while ((yield* held) < 65_536) yield* call(honest, "long:find", "x")
      for (let i = 0; i < 20; i++) yield* call(honest, "long:find", "x")
      // The bytes that may wait, one message more, and a thousand acknowledgements with their objects.
      assert.isBelow(yield* held, 65_536 + 65_536 + 1_000 * (60 + 200))
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})
