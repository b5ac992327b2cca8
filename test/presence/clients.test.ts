/**
 * The news that clients get of the members of their rooms.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schedule, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as Presence from "../../src/presence/Presence.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { fakeSocket, Online, period } from "./nodes.ts"

const member = (room: string, key: string, n = 0) => ({ room, key, meta: { n } })

const count = (room: string) => Effect.flatMap(Online, (online) => online.count(room))

class Chat extends Namespace.make("/chat", {
  clientToServer: [
    Event.make("enter", { payload: { room: Schema.String, key: Schema.String }, ack: Schema.Void }),
    Event.make("watch", { payload: Schema.String, ack: Schema.Void }),
    Event.make("leave", { payload: Schema.String, ack: Schema.Void })
  ],
  serverToClient: [...Presence.events(Online)]
}) {}

class Typing extends Presence.Service<Typing>()("test/Typing", { meta: Schema.Struct({}), event: "typing" }) {}

class Silent extends Namespace.make("/silent", {
  clientToServer: [Event.make("enter", { payload: { room: Schema.String, key: Schema.String }, ack: Schema.Void })]
}) {}

const enter = (socket: ServerSocket<any>, { key, room }: { readonly room: string; readonly key: string }) =>
  Effect.flatMap(Online, (online) => Effect.asVoid(Effect.orDie(online.track(socket, member(room, key)))))

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    const online = yield* Online
    return Chat.of({
      enter: (place) => enter(socket, place),
      watch: (room) => online.watch(socket, room),
      leave: (room) => online.untrack(socket, room)
    })
  })
)

const SilentLive = SocketIoServer.layerNamespace(
  Silent,
  Effect.fnUntraced(function* (socket) {
    yield* Online
    return Silent.of({ enter: (place) => enter(socket, place) })
  })
)

const chat = (options: TestSocketIo.TestOptions = {}, presence: Partial<Presence.Options> = {}) =>
  ChatLive.pipe(
    Layer.provideMerge(Presence.layer(Online, { namespace: Chat, period, ...presence })),
    Layer.provideMerge(TestSocketIo.layer(options))
  )

/** A client with the events that it gets, in few words. */
const join = Effect.gen(function* () {
  const client = yield* TestSocketIo.makeClient({ reconnection: Schedule.spaced("100 millis") })
  const socket = yield* client.connect(Chat)
  const seen: Array<string> = []
  const keys = (members: object) => Object.keys(members).toSorted().join(",")
  yield* socket.onAny((event, args) =>
    Effect.sync(() => {
      const [members, room] = args as [any, string]
      if (event === "presence_state") seen.push(`${room}: ${keys(members)}`)
      else seen.push(`${room}: +${keys(members.joins)} -${keys(members.leaves)}`)
    })
  )
  return { client, socket, seen }
})

describe("clients", () => {
  it.effect("get the state when they are tracked or watch, and then the differences of their rooms", () =>
    Effect.gen(function* () {
      const [ada, bob, eve] = [yield* join, yield* join, yield* join]
      yield* ada.socket.emitWithAck("enter", { room: "red", key: "ada" })
      yield* eve.socket.emitWithAck("watch", "red")
      yield* TestClock.adjust(2 * period)
      yield* bob.socket.emitWithAck("enter", { room: "red", key: "bob" })
      yield* TestClock.adjust(2 * period)
      yield* bob.socket.emitWithAck("leave", "red")
      yield* TestClock.adjust(2 * period)
      assert.deepStrictEqual(ada.seen, ["red: ada", "red: +bob -", "red: + -bob"])
      assert.deepStrictEqual(eve.seen, ["red: ada", "red: +bob -", "red: + -bob"])
      assert.deepStrictEqual(bob.seen, ["red: ada,bob", "red: + -bob"])
    }).pipe(Effect.provide(chat()))
  )

  it.effect("leave when they disconnect", () =>
    Effect.gen(function* () {
      const ada = yield* join
      const scope = yield* Scope.make()
      const bob = yield* Scope.provide(join, scope)
      yield* ada.socket.emitWithAck("enter", { room: "red", key: "ada" })
      yield* bob.socket.emitWithAck("enter", { room: "red", key: "bob" })
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(2 * period)
      // They were never seen as present: the first difference of the room had gone out right before.
      assert.deepStrictEqual(ada.seen, ["red: ada"])
      assert.deepStrictEqual(yield* count("red"), { keys: 1, connections: 1 })
    }).pipe(Effect.provide(chat()))
  )

  it.effect("that enter and leave for hours keep nothing in their socket's scope", () => {
    let scope: Scope.Scope
    const Live = SocketIoServer.layerNamespace(
      Chat,
      Effect.fnUntraced(function* (socket) {
        const online = yield* Online
        scope = yield* Effect.scope
        return Chat.of({
          enter: (place) => enter(socket, place),
          watch: (room) => online.watch(socket, room),
          leave: (room) => online.untrack(socket, room)
        })
      })
    )
    const kept = () => (scope.state._tag === "Open" ? (scope.state.finalizers?.size ?? 1) : 0)
    return Effect.gen(function* () {
      const { socket } = yield* join
      const before = kept()
      for (let i = 0; i < 50; i++) yield* socket.emitWithAck("enter", { room: "red", key: "ada" })
      yield* socket.emitWithAck("leave", "red")
      for (let i = 0; i < 50; i++) {
        yield* socket.emitWithAck("enter", { room: "blue", key: `ada ${i}` })
        yield* socket.emitWithAck("leave", "blue")
      }
      assert.strictEqual(kept(), before)
      assert.deepStrictEqual(yield* count("blue"), { keys: 0, connections: 0 })
    }).pipe(
      Effect.provide(
        Live.pipe(
          Layer.provideMerge(Presence.layer(Online, { namespace: Chat, period })),
          Layer.provideMerge(TestSocketIo.layer())
        )
      )
    )
  })

  it.effect("that come back after a moment have left and joined in one difference, where recovery is on", () =>
    Effect.gen(function* () {
      const [ada, bob] = [yield* join, yield* join]
      yield* ada.socket.emitWithAck("enter", { room: "red", key: "ada" })
      yield* TestClock.adjust(2 * period)
      yield* bob.socket.emitWithAck("enter", { room: "red", key: "bob" })
      for (const pause of [0, 4 * period]) {
        // In the period after a difference, or long after it.
        yield* TestClock.adjust(pause)
        const { id } = bob.socket
        yield* bob.client.network.cut
        assert.deepStrictEqual(yield* count("red"), { keys: 1, connections: 1 })
        yield* bob.client.network.restore
        yield* TestClock.adjust(period / 4)
        assert.isTrue(bob.socket.connected && bob.socket.id === id && bob.socket.recovered)
        yield* bob.socket.emitWithAck("enter", { room: "red", key: "bob" })
        yield* TestClock.adjust(2 * period)
      }
      assert.deepStrictEqual(ada.seen, ["red: ada", "red: +bob -", "red: +bob -bob", "red: +bob -bob"])
    }).pipe(Effect.provide(chat({ recovery: true })))
  )

  it.effect("that are lost stay for linger, and are not told if they come back with the same metadata", () =>
    Effect.gen(function* () {
      const [ada, bob] = [yield* join, yield* join]
      yield* ada.socket.emitWithAck("enter", { room: "red", key: "ada" })
      yield* bob.socket.emitWithAck("enter", { room: "red", key: "bob" })
      yield* TestClock.adjust(2 * period)
      yield* bob.client.network.cut
      yield* TestClock.adjust(3_000)
      yield* bob.client.network.restore
      yield* TestClock.adjust(200)
      assert.isTrue(bob.socket.recovered)
      yield* bob.socket.emitWithAck("enter", { room: "red", key: "bob" })
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(ada.seen, ["red: ada", "red: +bob -"])
      // Another tab of the same person takes the place of the lost one.
      const tab = yield* join
      yield* bob.client.network.cut
      yield* tab.socket.emitWithAck("enter", { room: "red", key: "bob" })
      yield* TestClock.adjust(2 * period)
      assert.deepStrictEqual(ada.seen.slice(2), ["red: +bob -", "red: + -bob"])
      assert.deepStrictEqual(yield* count("red"), { keys: 2, connections: 2 })
      // After the time it leaves, and a client that leaves by itself does so at once.
      yield* tab.client.network.cut
      yield* TestClock.adjust(4_999)
      assert.deepStrictEqual(yield* count("red"), { keys: 2, connections: 2 })
      yield* TestClock.adjust(1 + period)
      assert.deepStrictEqual(yield* count("red"), { keys: 1, connections: 1 })
      const scope = yield* Scope.make()
      const eve = yield* Scope.provide(join, scope)
      yield* eve.socket.emitWithAck("enter", { room: "red", key: "eve" })
      assert.deepStrictEqual(yield* count("red"), { keys: 2, connections: 2 })
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* count("red"), { keys: 1, connections: 1 })
    }).pipe(Effect.provide(chat({ recovery: true }, { linger: 5_000 })))
  )

  it.effect("share the state of a large room, at the next quarter of a period", () =>
    Effect.gen(function* () {
      const online = yield* Online
      for (let i = 0; i < 1_500; i++) yield* online.track(fakeSocket(`s${i}`, "/chat"), member("red", `k${i}`))
      yield* TestClock.adjust(2 * period)
      const server = yield* SocketIoServer.namespace(Chat)
      const sent: Array<string> = []
      yield* server.broadcasts().pipe(
        Stream.runForEach(({ event, rooms }) => Effect.sync(() => void sent.push(`${event} ${rooms.length}`))),
        Effect.forkScoped({ startImmediately: true })
      )
      const clients = [yield* join, yield* join, yield* join]
      for (const { socket } of clients) yield* socket.emitWithAck("watch", "red")
      assert.deepStrictEqual(sent, [])
      yield* TestClock.adjust(period / 4)
      assert.deepStrictEqual(sent, ["presence_state 3"])
      for (const { seen } of clients)
        assert.deepStrictEqual(
          seen.map((text) => text.split(",").length),
          [1_500]
        )
    }).pipe(Effect.provide(chat()))
  )

  it.effect("are told of two presences of one namespace by events with different names", () =>
    Effect.gen(function* () {
      const client = yield* SocketIoClient.connect("/both")
      const seen: Array<string> = []
      yield* client.onAny((event, args) => Effect.sync(() => void seen.push(`${event} ${JSON.stringify(args)}`)))
      yield* client.emit("go")
      yield* TestClock.adjust(period)
      assert.deepStrictEqual(
        seen.map((text) => text.replaceAll(/"phx_ref":"[^"]*"/g, "ref")),
        ['presence_state [{"ada":{"metas":[{"n":1,ref}]}},"red"]', 'typing_state [{"ada":{"metas":[{ref}]}},"red"]']
      )
      assert.deepStrictEqual(yield* count("red"), { keys: 1, connections: 1 })
    }).pipe(
      Effect.provide(
        SocketIoServer.layerNamespace(
          "/both",
          Effect.fnUntraced(function* (socket) {
            const [online, typing] = [yield* Online, yield* Typing]
            yield* socket.on("go", () =>
              Effect.andThen(
                online.track(socket, member("red", "ada", 1)),
                typing.track(socket, { room: "red", key: "ada", meta: {} })
              )
            )
          })
        ).pipe(
          Layer.provideMerge(Presence.layer(Online, { namespace: "/both" })),
          Layer.provideMerge(Presence.layer(Typing, { namespace: "/both" })),
          Layer.provideMerge(TestSocketIo.layer())
        )
      )
    )
  )

  it.effect("are not told what their contract does not declare", () =>
    Effect.gen(function* () {
      const client = yield* TestSocketIo.rawClient()
      yield* client.receive
      yield* client.send("40/silent,")
      yield* client.receive
      yield* client.send('42/silent,0["enter",{"room":"red","key":"ada"}]')
      assert.strictEqual(yield* client.receive, "43/silent,0[]")
      assert.deepStrictEqual(yield* count("red"), { keys: 1, connections: 1 })
      yield* client.send('42/silent,1["enter",{"room":"red","key":"bob"}]')
      assert.strictEqual(yield* client.receive, "43/silent,1[]")
    }).pipe(
      Effect.provide(
        SilentLive.pipe(
          Layer.provideMerge(Presence.layer(Online, { namespace: Silent, period })),
          Layer.provideMerge(TestSocketIo.layer())
        )
      )
    )
  )

  it.effect("that enter again and again get the state twice in a quarter of a period", () =>
    Effect.gen(function* () {
      const online = yield* Online
      for (let i = 0; i < 600; i++) yield* online.track(fakeSocket(`s${i}`, "/chat"), member("red", `k${i}`))
      yield* TestClock.adjust(2 * period)
      const client = yield* SocketIoClient.connect(Chat)
      let states = 0
      yield* client.onAny((event) => Effect.sync(() => void (event === "presence_state" && states++)))
      for (let i = 0; i < 100; i++) yield* client.emitWithAck("enter", { room: "red", key: "flap" })
      assert.strictEqual(states, 1)
      yield* TestClock.adjust(period / 4)
      assert.strictEqual(states, 2)
      yield* TestClock.adjust(period)
      assert.strictEqual(states, 2)
    }).pipe(Effect.provide(chat()))
  )
})
