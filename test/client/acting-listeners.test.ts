/**
 * Listeners that leave, come back or connect while they, and others after them, are being told something.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { ClientSocketBase, SocketStatus } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { fakeClient } from "../support/fakeClient.ts"

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

/** Everything that is ready has run. */
const settled = Effect.repeat(Effect.yieldNow, { times: 20 })

/** A client whose server is the test. */
const setup = Effect.fnUntraced(function* (options: Partial<ClientOptions> = {}) {
  const fake = yield* fakeClient({ reconnection: Schedule.spaced("1 second"), ...options })
  /** Lets namespaces in over the connection that was opened last. */
  const admit = (...namespaces: ReadonlyArray<string>) => {
    for (const namespace of namespaces) fake.last().events.onText(`40${namespace},{"sid":"x"}`)
    return fake.last()
  }
  const socket = (namespace: string) => fake.use(SocketIoClient.socket(namespace))
  /** The connection is lost, and opened again. */
  const lose = Effect.gen(function* () {
    fake.last().fail("cut")
    yield* TestClock.adjust("1 second")
    fake.last().accept()
    yield* settled
  })
  return { ...fake, admit, socket, lose }
})

const nameOf = (status: SocketStatus) =>
  status._tag === "Failed"
    ? `Failed${status.error.willRetry ? ", tries again" : ""}`
    : status._tag === "Disconnected"
      ? status.reason
      : status._tag

/** The names of a socket's statuses from now on. */
const statuses = Effect.fnUntraced(function* (socket: ClientSocketBase) {
  const seen: Array<string> = []
  yield* fork(Stream.runForEach(socket.status, (status) => Effect.sync(() => seen.push(nameOf(status)))))
  return seen
})

/** Does something whenever a status of this name is told. */
const when = (socket: ClientSocketBase, name: string, act: () => Effect.Effect<unknown, unknown>) =>
  socket.onStatus((status) => (nameOf(status) === name ? act() : Effect.void))

/** The same for the first status of this name. */
const whenFirst = (socket: ClientSocketBase, name: string, act: () => Effect.Effect<unknown, unknown>) => {
  let isDone = false
  return when(socket, name, () =>
    Effect.suspend(() => {
      if (isDone) return Effect.void
      isDone = true
      return act()
    })
  )
}

describe("a socket that a listener of its status takes out", () => {
  it.effect("is not asked for when the connection is open again, and can come back", () =>
    Effect.gen(function* () {
      const { admit, last, lose, socket } = yield* setup()
      const a = yield* socket("/a")
      yield* socket("/b")
      last().accept()
      admit("/a", "/b")
      const seen = yield* statuses(a)
      yield* whenFirst(a, "Connecting", () => a.disconnect())
      yield* lose
      assert.deepStrictEqual(last().take(), ["40/b,"])
      assert.deepStrictEqual(seen, ["Connected", "transport error", "Connecting", "io client disconnect"])
      yield* fork(a.reconnect())
      admit("/a")
      yield* settled
      assert.deepStrictEqual(last().take(), ["40/a,"])
      assert.isTrue(a.connected)
    })
  )

  it.effect("is asked for once if the listener brings it back", () =>
    Effect.gen(function* () {
      const { admit, last, lose, socket } = yield* setup()
      const a = yield* socket("/a")
      yield* socket("/b")
      last().accept()
      admit("/a", "/b")
      yield* whenFirst(a, "Connecting", () => Effect.andThen(a.disconnect(), a.reconnect()))
      const seen = yield* statuses(a)
      yield* lose
      assert.deepStrictEqual(last().take(), ["40/a,", "40/b,"])
      admit("/a")
      yield* settled
      assert.deepStrictEqual(seen, [
        "Connected",
        "transport error",
        "Connecting",
        "io client disconnect",
        "Connecting",
        "Connected"
      ])
    })
  )

  it.effect("may lose its last user by that", () =>
    Effect.gen(function* () {
      const { admit, last, lose, socket, use } = yield* setup()
      const over = yield* Deferred.make<void>()
      yield* fork(
        Effect.scoped(
          Effect.gen(function* () {
            const a = yield* use(SocketIoClient.socket("/a"))
            yield* when(a, "Connecting", () => Deferred.succeed(over, undefined))
            yield* Deferred.await(over)
          })
        )
      )
      yield* socket("/b")
      last().accept()
      admit("/a", "/b")
      yield* lose
      assert.deepStrictEqual(last().take(), ["40/b,"])
    })
  )

  it.effect("does not connect when that happens within reconnect", () =>
    Effect.gen(function* () {
      const { admit, last, socket } = yield* setup()
      const a = yield* socket("/a")
      yield* socket("/b")
      last().accept()
      admit("/a", "/b")
      yield* a.disconnect()
      yield* when(a, "Connecting", () => a.disconnect())
      yield* settled
      last().take()
      const error = yield* Effect.flip(a.reconnect())
      assert.deepInclude(error, { message: "io client disconnect", willRetry: false })
      yield* settled
      assert.deepStrictEqual(last().take(), [])
      assert.isFalse(a.connected)
    })
  )

  it.effect("does not open a connection for it either", () =>
    Effect.gen(function* () {
      const { admit, last, platform, socket } = yield* setup()
      const a = yield* socket("/a")
      last().accept()
      admit("/a")
      yield* a.disconnect()
      yield* when(a, "Connecting", () => a.disconnect())
      yield* Effect.flip(a.reconnect())
      yield* settled
      assert.lengthOf(platform.sockets, 1)
    })
  )
})

describe("a namespace that is left while another one hears that the connection is lost", () => {
  const leftMeanwhile = Effect.fnUntraced(function* (options: Partial<ClientOptions>, more?: "and joined again") {
    const { admit, last, platform, socket } = yield* setup(options)
    const a = yield* socket("/a")
    const b = yield* socket("/b")
    last().accept()
    admit("/a", "/b")
    const seen = yield* statuses(b)
    yield* fork(
      Effect.gen(function* () {
        yield* a.disconnected
        yield* b.disconnect()
        if (more) yield* b.reconnect()
      })
    )
    last().fail("cut")
    yield* settled
    return { a, admit, b, last, platform, seen }
  })

  for (const [what, options] of [
    ["with another attempt", {}],
    ["without one", { reconnection: false }]
  ] as const) {
    it.effect(`hears of its own end only, ${what}`, () =>
      Effect.gen(function* () {
        const { b, seen } = yield* leftMeanwhile(options)
        assert.deepStrictEqual(seen, ["Connected", "io client disconnect"])
        assert.strictEqual(yield* b.disconnected, "io client disconnect")
      })
    )

    it.effect(`is connected if it was joined again, ${what}`, () =>
      Effect.gen(function* () {
        const { admit, b, last, platform, seen } = yield* leftMeanwhile(options, "and joined again")
        yield* TestClock.adjust("1 second")
        assert.lengthOf(platform.sockets, 2)
        last().accept()
        admit("/b")
        yield* settled
        assert.deepStrictEqual(seen, ["Connected", "io client disconnect", "Connecting", "Connected"])
        assert.isTrue(b.connected)
      })
    )
  }
})

describe("listeners after one that changes the status", () => {
  it.effect("hear of the change last, when it is the end of a connection", () =>
    Effect.gen(function* () {
      const { admit, last, socket } = yield* setup()
      const a = yield* socket("/a")
      yield* socket("/b")
      last().accept()
      admit("/a")
      yield* fork(Effect.andThen(a.disconnected, a.disconnect()))
      const seen = yield* statuses(a)
      const heard: Array<string> = []
      yield* a.onStatus((status) => Effect.sync(() => heard.push(nameOf(status))))
      last().fail("cut")
      yield* settled
      assert.deepStrictEqual(seen, ["Connected", "transport error", "io client disconnect"])
      assert.deepStrictEqual(heard, ["transport error", "io client disconnect"])
    })
  )

  it.effect("hear of the change last, when it is a connection", () =>
    Effect.gen(function* () {
      const { admit, last, socket, use } = yield* setup()
      yield* fork(Effect.flatMap(use(SocketIoClient.connect("/a")), (a) => a.disconnect()))
      const a = yield* socket("/a")
      yield* socket("/b")
      const seen = yield* statuses(a)
      last().accept()
      admit("/a")
      yield* settled
      assert.deepStrictEqual(seen, ["Connecting", "Connected", "io client disconnect"])
    })
  )

  it.effect("hear of the change last, when somebody connects again by hand", () =>
    Effect.gen(function* () {
      const { admit, last, socket } = yield* setup({ reconnection: false })
      const a = yield* socket("/a")
      last().accept()
      admit("/a")
      yield* fork(Effect.andThen(a.disconnected, a.reconnect()))
      const other = yield* fork(a.disconnected)
      const seen = yield* statuses(a)
      last().fail("cut")
      yield* settled
      assert.deepStrictEqual(seen, ["Connected", "transport error", "Connecting"])
      // Nobody misses the status that was changed.
      assert.isDefined(other.pollUnsafe())
    })
  )
})

describe("a handler that sees an event leave, and disconnects", () => {
  const leaving = Effect.fnUntraced(function* () {
    const { admit, last, socket } = yield* setup()
    // Keeps the connection open.
    yield* socket("/b")
    const a = yield* socket("/a")
    yield* a.onAnyOutgoing(() => a.disconnect())
    const seen = yield* statuses(a)
    return {
      a,
      admit: () => {
        last().accept()
        admit("/a", "/b")
      },
      last,
      seen
    }
  })

  it.effect("ends the wait for the acknowledgement", () =>
    Effect.gen(function* () {
      const { a, admit, last } = yield* leaving()
      admit()
      const error = yield* Effect.flip(a.emitWithAck("ask"))
      assert.deepInclude(error, { _tag: "AckError", reason: { _tag: "Disconnected" } })
      yield* settled
      assert.deepStrictEqual(last().take(), ["40/b,", "40/a,", "41/a,"])
    })
  )

  it.effect("keeps all that has waited from being sent, and is the last to change the status", () =>
    Effect.gen(function* () {
      const { a, admit, last, seen } = yield* leaving()
      yield* a.emit("first")
      const asking = yield* fork(Effect.flip(a.emitWithAck("second")))
      admit()
      yield* settled
      assert.deepStrictEqual(last().take(), ["40/b,", "40/a,", "41/a,"])
      assert.deepInclude(yield* Fiber.join(asking), { _tag: "AckError", reason: { _tag: "Disconnected" } })
      assert.deepStrictEqual(seen, ["Connecting", "io client disconnect"])
    })
  )

  it.effect("may forget an event instead, which is not sent then", () =>
    Effect.gen(function* () {
      const { admit, last, socket } = yield* setup()
      const a = yield* socket("/a")
      yield* a.emit("first")
      const second = yield* fork(a.emitWithAck("second"))
      yield* a.emit("third")
      yield* a.onAnyOutgoing((event) => (event === "first" ? Fiber.interrupt(second) : Effect.void))
      last().accept()
      admit("/a")
      yield* settled
      assert.deepStrictEqual(last().take(), ["40/a,", '42/a,["first"]', '42/a,["third"]'])
    })
  )
})

describe("an event that a newer one drives out", () => {
  it.effect("was not sent, and its sender hears that", () =>
    Effect.gen(function* () {
      const { socket } = yield* setup({ maxBuffered: 1, bufferOverflow: "oldest" })
      const a = yield* socket("/a")
      const oldest = yield* fork(Effect.flip(a.emitWithAck("old")))
      yield* a.emit("new")
      assert.deepInclude(yield* Fiber.join(oldest), { _tag: "AckError", reason: { _tag: "NotSent" } })
    })
  )
})
