/**
 * The presence of one server, without clients.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as Presence from "../../src/presence/Presence.ts"
import type { Change, PresenceShape } from "../../src/presence/PresenceModel.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { fakeSocket, listOf, type Meta, normal, Online, period } from "./nodes.ts"

const member = (room: string, key: string, n = 0) => ({ room, key, meta: { n } })

/** A presence without clients, for sockets that are only as much of one as it needs. */
const alone = (options: Partial<Presence.Options> = {}) =>
  Presence.layer(Online, { namespace: "/", period, ...options }).pipe(Layer.provide(SocketIoServer.layer()))

const track = (socket: ReturnType<typeof fakeSocket>, room: string, key: string, n = 0) =>
  Effect.flatMap(Online, (online) => online.track(socket, member(room, key, n)))

const list = (room: string) =>
  Effect.flatMap(Online, (online) => listOf({ online } as Parameters<typeof listOf>[0], room))

const count = (room: string) => Effect.flatMap(Online, (online) => online.count(room))

/** Why a member is refused. */
const refusal = <A, R>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, R>) =>
  Effect.map(Effect.result(effect), (result) => (Result.isFailure(result) ? result.failure.reason._tag : "none"))

/** Gathers the changes of a room from now on. */
const changesOf = Effect.fnUntraced(function* (room: string) {
  const online = yield* Online
  const seen: Array<Change<Meta>> = []
  yield* online.changes(room).pipe(
    Stream.runForEach((change) => Effect.sync(() => void seen.push(change))),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* Effect.yieldNow
  return seen
})

describe("the members of a room", () => {
  it.effect("are the connections of each key, until their scopes close", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* track(fakeSocket("a"), "red", "ada", 1)
      yield* Scope.provide(track(fakeSocket("b"), "red", "ada", 2), scope)
      yield* track(fakeSocket("c"), "red", "bob", 3)
      yield* track(fakeSocket("c"), "blue", "bob", 4)
      assert.strictEqual(
        yield* list("red"),
        normal([
          ["ada", [1, 2]],
          ["bob", [3]]
        ])
      )
      assert.deepStrictEqual(yield* count("red"), { keys: 2, connections: 3 })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(
        yield* list("red"),
        normal([
          ["ada", [1]],
          ["bob", [3]]
        ])
      )
      assert.deepStrictEqual(yield* count("red"), { keys: 2, connections: 2 })
      assert.deepStrictEqual(yield* count("green"), { keys: 0, connections: 0 })
    }).pipe(Effect.provide(alone()))
  )

  it.effect("change with updates, and end with untrack", () =>
    Effect.gen(function* () {
      const online = yield* Online
      const socket = fakeSocket("a")
      const { update } = yield* track(socket, "red", "ada", 1)
      yield* track(socket, "red", "ada's bot", 1)
      yield* track(socket, "blue", "ada", 1)
      yield* update({ n: 2 })
      assert.strictEqual(
        yield* list("red"),
        normal([
          ["ada", [2]],
          ["ada's bot", [1]]
        ])
      )
      yield* online.untrack(socket, "red")
      yield* update({ n: 3 })
      assert.strictEqual(yield* list("red"), normal([]))
      assert.strictEqual(yield* list("blue"), normal([["ada", [1]]]))
    }).pipe(Effect.provide(alone()))
  )

  it.effect("are one for a socket that is tracked again, and the later scope counts", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      const earlier = yield* Scope.provide(track(fakeSocket("a"), "red", "ada", 1), first)
      yield* Scope.provide(track(fakeSocket("a"), "red", "ada", 2), second)
      yield* earlier.update({ n: 3 })
      yield* Scope.close(first, Exit.void)
      assert.strictEqual(yield* list("red"), normal([["ada", [2]]]))
      yield* Scope.close(second, Exit.void)
      assert.strictEqual(yield* list("red"), normal([]))
    }).pipe(Effect.provide(alone()))
  )

  it.effect("are not sockets that have disconnected, nor those of another namespace", () =>
    Effect.gen(function* () {
      const { update } = yield* track({ ...fakeSocket("a"), connected: false }, "red", "ada")
      yield* update({ n: 1 })
      assert.strictEqual(yield* list("red"), normal([]))
      const exit = yield* Effect.exit(track(fakeSocket("b", "/other"), "red", "bob"))
      assert.match(String(exit), /the socket is in "\/other"/)
    }).pipe(Effect.provide(alone()))
  )

  it.effect("have metadata that their schema accepts", () =>
    Effect.gen(function* () {
      const { update } = yield* track(fakeSocket("a"), "red", "ada", 1)
      assert.isTrue(Exit.hasDies(yield* Effect.exit(track(fakeSocket("b"), "red", "bob", 1.5))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(update({ n: 1.5 }))))
      assert.strictEqual(yield* list("red"), normal([["ada", [1]]]))
    }).pipe(Effect.provide(alone()))
  )
})

describe("the changes of a room", () => {
  it.effect("are a snapshot, and then differences, with the first and the last of a key marked", () =>
    Effect.gen(function* () {
      yield* track(fakeSocket("a"), "red", "ada", 1)
      const seen = yield* changesOf("red")
      assert.deepStrictEqual(
        seen.map(({ _tag }) => _tag),
        ["Snapshot"]
      )
      const scope = yield* Scope.make()
      yield* Scope.provide(track(fakeSocket("b"), "red", "ada", 2), scope)
      yield* Scope.provide(track(fakeSocket("c"), "red", "bob", 3), scope)
      yield* TestClock.adjust(2 * period)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(2 * period)
      const marks = seen.flatMap((change) =>
        change._tag === "Snapshot"
          ? []
          : change.joined
              .map(({ first, key, meta }) => `${first ? "first " : ""}${key} ${meta.n} joined`)
              .concat(change.left.map(({ key, last, meta }) => `${last ? "last " : ""}${key} ${meta.n} left`))
      )
      assert.deepStrictEqual(
        [marks.slice(0, 2), marks.slice(2).toSorted()],
        [
          ["ada 2 joined", "first bob 3 joined"],
          ["ada 2 left", "last bob 3 left"]
        ]
      )
    }).pipe(Effect.provide(alone()))
  )

  it.effect("come at once after a quiet period, and then once in a period with what is left of them", () =>
    Effect.gen(function* () {
      const seen = yield* changesOf("red")
      const { update } = yield* track(fakeSocket("a"), "red", "ada", 0)
      yield* Effect.yieldNow
      assert.lengthOf(seen, 2)
      for (let n = 1; n <= 1_000; n++) yield* update({ n })
      for (let n = 1; n <= 50; n++) yield* Effect.scoped(track(fakeSocket("b"), "red", "bob", n))
      yield* TestClock.adjust(period - 1)
      assert.lengthOf(seen, 2)
      yield* TestClock.adjust(period / 4 + 1)
      assert.lengthOf(seen, 3)
      const [, , diff] = seen
      assert.isTrue(diff?._tag === "Diff")
      if (diff?._tag !== "Diff") return
      assert.deepStrictEqual([diff.joined, diff.left], [[], []])
      assert.deepStrictEqual(
        diff.updated.map(({ key, meta }) => [key, meta.n]),
        [["ada", 1_000]]
      )
      yield* TestClock.adjust(10 * period)
      assert.lengthOf(seen, 3)
    }).pipe(Effect.provide(alone()))
  )

  it.effect("are a new snapshot for a reader that is too slow", () =>
    Effect.gen(function* () {
      const online = yield* Online
      const go = yield* Deferred.make<void>()
      const seen: Array<Change<Meta>> = []
      yield* online.changes("red").pipe(
        Stream.runForEach((change) => {
          seen.push(change)
          return seen.length === 1 ? Deferred.await(go) : Effect.void
        }),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* Effect.yieldNow
      const members = yield* Effect.forEach(Array.from({ length: 1_100 }), (_, i) =>
        track(fakeSocket(`s${i}`), "red", `k${i}`)
      )
      for (let n = 1; n <= 10; n++) {
        yield* TestClock.adjust(2 * period)
        yield* Effect.forEach(members, ({ update }) => update({ n }))
      }
      yield* TestClock.adjust(2 * period)
      yield* Deferred.succeed(go, undefined)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        seen.map(({ _tag }) => _tag),
        ["Snapshot", "Snapshot"]
      )
      const last = seen[1]!
      assert.isTrue(last._tag === "Snapshot" && last.members.size === 1_100)
      assert.deepStrictEqual(last._tag === "Snapshot" && last.members.get("k7")?.map(({ meta }) => meta.n), [10])
    }).pipe(Effect.provide(alone()))
  )

  it.effect("end with the layer", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(alone(), scope)
      const online: PresenceShape<Meta> = Context.get(context, Online)
      const ended = yield* Effect.forkChild(Stream.runCount(online.changes("red")), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(ended), 1)
    })
  )
})

describe("bounds", () => {
  it.effect("maxMembers: the members of a room", () =>
    Effect.gen(function* () {
      for (const id of ["a", "b"]) yield* track(fakeSocket(id), "red", "ada")
      assert.strictEqual(yield* refusal(track(fakeSocket("c"), "red", "ada")), "RoomFull")
      // A member that is there already may be replaced.
      yield* track(fakeSocket("a"), "red", "ada", 7)
      yield* track(fakeSocket("c"), "blue", "ada")
    }).pipe(Effect.provide(alone({ maxMembers: 2 })))
  )

  it.effect("maxTotal: the members of a server", () =>
    Effect.gen(function* () {
      for (const id of ["a", "b"]) yield* track(fakeSocket(id), id, "ada")
      assert.strictEqual(yield* refusal(track(fakeSocket("c"), "red", "ada")), "ServerFull")
    }).pipe(Effect.provide(alone({ maxTotal: 2 })))
  )

  it.effect("maxPerSocket: the members that a socket is, and that it begins in a period", () =>
    Effect.gen(function* () {
      const socket = fakeSocket("a")
      yield* track(socket, "red", "ada")
      yield* track(socket, "blue", "ada")
      assert.strictEqual(yield* refusal(track(socket, "green", "ada")), "SocketFull")
      const online = yield* Online
      yield* online.untrack(socket, "red")
      assert.strictEqual(yield* refusal(track(socket, "green", "ada")), "SocketFull")
      yield* TestClock.adjust(period)
      yield* track(socket, "green", "ada")
      yield* track(fakeSocket("b"), "red", "bob")
    }).pipe(Effect.provide(alone({ maxPerSocket: 2 })))
  )

  it.effect("maxBytes: the memory of a member", () =>
    Effect.gen(function* () {
      const key = "k".repeat(300)
      assert.strictEqual(yield* refusal(track(fakeSocket("a"), "red", key)), "TooLarge")
      yield* track(fakeSocket("a"), "red", "ada")
    }).pipe(Effect.provide(alone({ maxBytes: 400 })))
  )

  it.effect("maxBytes: the memory of an update", () =>
    Effect.gen(function* () {
      const noted = yield* Noted
      const { update } = yield* noted.track(fakeSocket("a"), { room: "red", key: "ada", meta: { note: "" } })
      assert.strictEqual(yield* refusal(update({ note: "n".repeat(2_000) })), "TooLarge")
      yield* update({ note: "short" })
      assert.deepStrictEqual(Array.from(yield* noted.list("red")), [["ada", [{ note: "short" }]]])
    }).pipe(Effect.provide(Presence.layer(Noted, { namespace: "/" }).pipe(Layer.provide(SocketIoServer.layer()))))
  )

  it.effect("a key is a name", () =>
    Effect.gen(function* () {
      for (const key of ["", "__proto__"])
        assert.strictEqual(yield* refusal(track(fakeSocket("a"), "red", key)), "InvalidKey")
      for (const key of ["constructor", "toString"]) yield* track(fakeSocket("a"), "red", key)
      assert.deepStrictEqual(yield* count("red"), { keys: 2, connections: 2 })
    }).pipe(Effect.provide(alone()))
  )

  it.effect("options that make no sense are refused", () =>
    Effect.gen(function* () {
      for (const wrong of [
        { period: 0 },
        { period: "1 second", down: "1.5 seconds" },
        { down: "10 seconds", forget: "5 seconds" },
        { linger: -1 },
        { maxMembers: 0 },
        { maxTotal: 1.5 },
        { maxPerSocket: 0 },
        { maxBytes: -1 },
        { maxmembers: 7 }
      ] as const) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(alone(wrong as Partial<Presence.Options>))))
        assert.match(String(exit), /InvalidOptionError/, JSON.stringify(wrong))
      }
    })
  )

  it.effect("two layers for the same events of a namespace are a defect, one after the other are not", () =>
    Effect.gen(function* () {
      const build = (namespace: string) => Layer.build(Presence.layer(Online, { namespace }))
      yield* Effect.scoped(build("/"))
      yield* build("/")
      yield* build("/other")
      assert.match(String(yield* Effect.exit(build("/"))), /two presences send "presence_state" in "\/"/)
    }).pipe(Effect.provide(SocketIoServer.layer()))
  )

  it("metadata have no field of the wire", () => {
    assert.throws(
      () => Presence.Service()("wrong", { meta: Schema.Struct({ phx_ref: Schema.String }) }),
      /the field "phx_ref" is reserved/
    )
  })
})

describe("a socket that is tracked again and again", () => {
  /** A socket that counts its handlers of the end, and the items that its scope keeps. */
  const counting = Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    let handlers = 0
    const socket: ReturnType<typeof fakeSocket> = {
      ...fakeSocket("a"),
      onDisconnecting: () =>
        Effect.asVoid(
          Effect.acquireRelease(
            Effect.sync(() => handlers++),
            () => Effect.sync(() => handlers--)
          )
        )
    }
    const kept = () => {
      const { state } = scope
      return state._tag === "Open" ? (state.finalizers?.size ?? 1) : 0
    }
    return { scope, socket, handlers: () => handlers, kept }
  })

  it.effect("under one key keeps one of each, and the last call counts", () =>
    Effect.gen(function* () {
      const { handlers, kept, scope, socket } = yield* counting
      for (let n = 0; n < 50; n++) yield* Scope.provide(track(socket, "red", "ada", n), scope)
      assert.strictEqual(yield* list("red"), normal([["ada", [49]]]))
      assert.deepStrictEqual([handlers(), kept()], [1, 1])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* count("red"), { keys: 0, connections: 0 })
      assert.strictEqual(handlers(), 0)
    }).pipe(Effect.provide(alone()))
  )

  it.effect("from room to room keeps nothing of those that it has left", () =>
    Effect.gen(function* () {
      const online = yield* Online
      const { handlers, kept, scope, socket } = yield* counting
      for (let i = 0; i < 50; i++) {
        yield* Scope.provide(track(socket, `room ${i}`, "ada"), scope)
        yield* online.untrack(socket, `room ${i}`)
      }
      assert.deepStrictEqual([handlers(), kept()], [0, 0])
    }).pipe(Effect.provide(alone()))
  )

  it.effect("keeps nothing of a call that is refused", () =>
    Effect.gen(function* () {
      const { handlers, kept, scope, socket } = yield* counting
      yield* Scope.provide(track(socket, "red", "ada"), scope)
      for (const room of ["blue", "green"])
        assert.strictEqual(yield* refusal(Scope.provide(track(socket, room, "ada"), scope)), "SocketFull")
      assert.deepStrictEqual([handlers(), kept()], [1, 1])
    }).pipe(Effect.provide(alone({ maxPerSocket: 1 })))
  )
})

describe("a socket whose rights have ended", () => {
  for (const [reason, stays] of [
    ["auth expired", true],
    ["auth changed", false]
  ] as const) {
    it.effect(`with "${reason}" ${stays ? "stays for linger, as its client comes back" : "leaves at once"}`, () =>
      Effect.gen(function* () {
        let disconnect = Effect.void as Effect.Effect<unknown, any, any>
        const socket: ReturnType<typeof fakeSocket> = {
          ...fakeSocket("a"),
          onDisconnecting: (handler) =>
            Effect.sync(() => {
              disconnect = handler(reason)
            })
        }
        yield* track(socket, "red", "ada")
        yield* disconnect
        assert.strictEqual((yield* count("red")).connections, stays ? 1 : 0)
        yield* TestClock.adjust(5_000 + period)
        assert.strictEqual((yield* count("red")).connections, 0)
      }).pipe(Effect.provide(alone({ linger: 5_000 })))
    )
  }
})

describe("the types", () => {
  it("refuse other metadata, and know the events", () => {
    const wrong = (online: PresenceShape<Meta>) =>
      // @ts-expect-error: `n` is a number
      online.track(fakeSocket("a"), { room: "red", key: "ada", meta: { n: "1" } })
    const [state, diff]: readonly [{ readonly _tag: "typing_state" }, { readonly _tag: "typing_diff" }] =
      Presence.events(Typing)
    assert.deepStrictEqual([state._tag, diff._tag, typeof wrong], ["typing_state", "typing_diff", "function"])
  })
})

class Typing extends Presence.Service<Typing>()("test/Typing", { meta: Schema.Struct({}), event: "typing" }) {}

class Noted extends Presence.Service<Noted>()("test/Noted", { meta: Schema.Struct({ note: Schema.String }) }) {}
