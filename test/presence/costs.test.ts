/**
 * The cost of presence in large rooms, in items that are looked at: of maps and sets of the whole process.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { DisconnectReason } from "../../src/DisconnectReason.ts"
import * as Presence from "../../src/presence/Presence.ts"
import type { Change } from "../../src/presence/PresenceModel.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { fakeSocket, type Meta, Online, period } from "./nodes.ts"

const alone = Presence.layer(Online, { namespace: "/", period, maxMembers: 20_000 }).pipe(
  Layer.provide(SocketIoServer.layer())
)

/** Counts the items of maps and sets that are iterated while an effect runs. */
const iterated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      let items = 0
      const prototypes = [new Map().entries(), new Set().values()].map((iterator) => Object.getPrototypeOf(iterator))
      const originals = prototypes.map(({ next }) => next)
      for (const [i, prototype] of prototypes.entries()) {
        prototype.next = function next(this: unknown) {
          items++
          return originals[i].call(this)
        }
      }
      const restore = () => {
        for (const [i, prototype] of prototypes.entries()) prototype.next = originals[i]
      }
      return { restore, items: () => items }
    }),
    ({ items }) => Effect.map(effect, (value) => ({ value, items: items() })),
    ({ restore }) => Effect.sync(restore)
  )

/** As much of a socket as presence needs, that disconnects. */
const endingSocket = (id: string) => {
  const handlers: Array<(reason: DisconnectReason) => Effect.Effect<any, any, any>> = []
  const socket = {
    ...fakeSocket(id),
    connected: true,
    onDisconnecting: (handler: (reason: DisconnectReason) => Effect.Effect<any, any, any>) =>
      Effect.sync(() => void handlers.push(handler)),
    end: Effect.suspend(() => {
      socket.connected = false
      return Effect.forEach(handlers, (handler) => handler("client namespace disconnect") as Effect.Effect<unknown>)
    })
  }
  return socket
}

const track = (id: string, key: string) =>
  Effect.flatMap(Online, (online) => Effect.orDie(online.track(fakeSocket(id), { room: "red", key, meta: { n: 0 } })))

const fill = (size: number) =>
  Effect.andThen(
    Effect.forEach(Array.from({ length: size }), (_, i) => track(`s${i}`, `k${i}`), { discard: true }),
    TestClock.adjust(4 * period)
  )

describe("sockets that come and go", () => {
  it.effect("leave nothing to look at when the period ends", () =>
    Effect.gen(function* () {
      const online = yield* Online
      const cost = (size: number) =>
        Effect.gen(function* () {
          for (let i = 0; i < size; i++) {
            const socket = endingSocket(`${size}-${i}`)
            yield* Effect.scoped(
              Effect.andThen(online.track(socket, { room: "red", key: `k${i}`, meta: { n: 0 } }), socket.end)
            )
          }
          const { items } = yield* iterated(TestClock.adjust(2 * period))
          return items
        })
      const [small, large] = [yield* cost(10), yield* cost(1_000)]
      assert.isAtMost(large, small + 20)
    }).pipe(Effect.provide(alone))
  )
})

describe("a room of 10,000 members", () => {
  it.effect("is counted by its iteration: the measure sees a list", () =>
    Effect.gen(function* () {
      yield* fill(1_000)
      const online = yield* Online
      const { items } = yield* iterated(online.list("red"))
      assert.isAtLeast(items, 1_000)
    }).pipe(Effect.provide(alone))
  )

  it.effect("tells its numbers without looking at its members", () =>
    Effect.gen(function* () {
      yield* fill(10_000)
      const online = yield* Online
      const { items, value } = yield* iterated(online.count("red"))
      assert.deepStrictEqual(value, { keys: 10_000, connections: 10_000 })
      assert.isAtMost(items, 10)
    }).pipe(Effect.provide(alone))
  )

  it.effect("costs its difference when one joins, and tells readers and clients of that one alone", () =>
    Effect.gen(function* () {
      const cost = (size: number) =>
        Effect.gen(function* () {
          yield* fill(size)
          const online = yield* Online
          const changes: Array<Change<Meta>> = []
          const told: Array<string> = []
          yield* online.changes("red").pipe(
            Stream.runForEach((change) => Effect.sync(() => void changes.push(change))),
            Effect.forkScoped({ startImmediately: true })
          )
          const client = yield* SocketIoClient.connect("/")
          yield* client.onAny((event, args) => Effect.sync(() => void told.push(`${event} ${JSON.stringify(args)}`)))
          yield* TestClock.adjust(period)
          told.length = 0
          const socket = fakeSocket("new")
          const joining = Effect.gen(function* () {
            yield* online.track(socket, { room: "red", key: "ada", meta: { n: 7 } })
            // The one that joins does not look at the room: that would cost as much as the room is large.
            socket.rooms.delete("red")
            yield* TestClock.adjust(2 * period)
          })
          const { items } = yield* iterated(joining)
          const [, diff] = changes
          assert.lengthOf(changes, 2)
          assert.isTrue(diff?._tag === "Diff" && diff.joined.length === 1 && diff.left.length === 0)
          assert.lengthOf(told, 1)
          assert.match(
            told[0]!,
            /^presence_diff \[\{"joins":\{"ada":\{"metas":\[\{"n":7,"phx_ref":"[^"]+"\}\]\}\},"leaves":\{\}\},"red"\]$/
          )
          return items
        }).pipe(Effect.scoped, Effect.provide(Main))
      const [small, large] = [yield* cost(100), yield* cost(10_000)]
      assert.isAtMost(large, small + 20)
    })
  )
})

const Main = SocketIoServer.layerNamespace(
  "/",
  Effect.fnUntraced(function* (socket) {
    const online = yield* Online
    yield* online.watch(socket, "red")
  })
).pipe(
  Layer.provideMerge(Presence.layer(Online, { namespace: "/", period, maxMembers: 20_000 })),
  Layer.provideMerge(TestSocketIo.layer())
)
