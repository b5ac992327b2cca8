/**
 * Calls of a client at awkward moments: while something else is being told, before anybody could listen, when it is too late.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Queue, Scope, Stream } from "effect"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import type * as Namespace from "../../src/Namespace.ts"
import { makeFakePlatform } from "../support/fakeClientPlatform.ts"

/** A client over WebSocket whose server is the test. */
const setup = Effect.fnUntraced(function* (options: Partial<ClientOptions> = {}) {
  const platform = makeFakePlatform()
  const scope = yield* Scope.fork(yield* Effect.scope)
  const client = yield* SocketIoClient.make({ url: "http://test", transports: ["websocket"], ...options }).pipe(
    Effect.provideService(ClientPlatform, platform),
    Scope.provide(scope)
  )
  const use = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provideService(effect, SocketIoClient.SocketIoClient, client)
  /** Lets a namespace in over the connection that was opened last. */
  const admit = (namespace: string) => {
    const server = platform.sockets.at(-1)!
    server.accept()
    server.events.onText(`40${namespace},{"sid":"${namespace} ${platform.sockets.length}"}`)
    return server
  }
  return { platform, scope, use, admit, last: () => platform.sockets.at(-1)! }
})

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

/** The names of a socket's statuses from now on. */
const statuses = Effect.fnUntraced(function* (socket: ClientSocket<Namespace.Untyped>) {
  const seen: Array<string> = []
  yield* fork(Stream.runForEach(socket.status, ({ _tag }) => Effect.sync(() => seen.push(_tag))))
  return seen
})

/** Everything that is ready has run. */
const settled = Effect.repeat(Effect.yieldNow, { times: 20 })

const circular = () => {
  const value: Record<string, unknown> = {}
  value["itself"] = value
  return value
}

describe("a client without reconnection", () => {
  it.effect("may be asked to connect again by whoever hears first that the connection is lost", () =>
    Effect.gen(function* () {
      const { admit, last, platform, use } = yield* setup({ reconnection: false })
      const socket = yield* use(SocketIoClient.socket("/a"))
      admit("/a")
      const again = yield* fork(Effect.catchTag(socket.emitWithAck("q"), "AckError", () => socket.reconnect()))
      last().fail("cut")
      yield* settled
      assert.lengthOf(platform.sockets, 2)
      assert.isFalse(last().closed)
      admit("/a")
      yield* Fiber.join(again)
      assert.strictEqual(socket.id, "/a 2")
    })
  )

  it.effect("may be asked for another namespace by whoever hears first that the connection is lost", () =>
    Effect.gen(function* () {
      const { admit, last, use } = yield* setup({ reconnection: false })
      const socket = yield* use(SocketIoClient.socket("/a"))
      admit("/a")
      const other = yield* fork(
        Effect.catchTag(socket.emitWithAck("q"), "AckError", () => use(SocketIoClient.connect("/b")))
      )
      last().fail("cut")
      yield* settled
      admit("/b")
      yield* settled
      assert.isTrue(((yield* Fiber.join(other)) as ClientSocket<Namespace.Untyped>).connected)
    })
  )
})

describe("an event that cannot be encoded", () => {
  it.effect("is the emitter's defect also before the socket is connected, and nobody else's business", () =>
    Effect.gen(function* () {
      const { admit, use } = yield* setup()
      const socket = yield* use(SocketIoClient.socket("/a"))
      const seen = yield* statuses(socket)
      for (const emitted of [
        yield* Effect.exit(socket.emit("bad", circular())),
        yield* Effect.exit(socket.emitWithAck("bad", circular()))
      ]) {
        assert.isTrue(Exit.hasDies(emitted as Exit.Exit<unknown, unknown>), String(emitted))
      }
      const good = yield* fork(socket.emitWithAck("good", 1))
      const server = admit("/a")
      yield* settled
      assert.deepStrictEqual(seen, ["Connecting", "Connected"])
      const asked = server.take().at(-1) as string
      assert.match(asked, /^42\/a,\d+\["good",1\]$/)
      server.events.onText(`43/a,${Number.parseInt(asked.slice(5), 10)}["yes"]`)
      assert.deepStrictEqual(yield* Fiber.join(good), ["yes"])
    })
  )
})

describe("an auth payload", () => {
  it.effect("that cannot be encoded fails the connection to the namespace", () =>
    Effect.gen(function* () {
      const { last, use } = yield* setup()
      const connecting = yield* fork(Effect.flip(use(SocketIoClient.connect("/a", { auth: { n: 1n } }))))
      last().accept()
      const error = yield* Fiber.join(connecting)
      assert.deepInclude(error, { _tag: "ConnectError", willRetry: false })
      assert.match(error.message, /auth failed: .*BigInt/)
    })
  )

  it.effect("that fails at once, over a connection that is open, fails it as well", () =>
    Effect.gen(function* () {
      const { admit, use } = yield* setup()
      yield* use(SocketIoClient.socket("/a"))
      admit("/a")
      const error = yield* Effect.flip(use(SocketIoClient.connect("/b", { auth: Effect.die("no token") })))
      assert.deepInclude(error, { _tag: "ConnectError", namespace: "/b", message: "auth failed: no token" })
    })
  )
})

describe("what waits for a socket", () => {
  it.effect("fails when the scope closes of one that was refused, as nothing will be sent any more", () =>
    Effect.gen(function* () {
      const { last, use } = yield* setup()
      const scope = yield* Scope.make()
      const socket = yield* Scope.provide(use(SocketIoClient.socket("/a")), scope)
      last().accept()
      last().events.onText('44/a,{"message":"no"}')
      const asking = yield* fork(Effect.flip(socket.emitWithAck("q")))
      yield* settled
      assert.isUndefined(asking.pollUnsafe())
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* Fiber.join(asking), { _tag: "AckError", reason: { _tag: "Disconnected" } })
    })
  )

  it.effect("fails when its client's scope closes", () =>
    Effect.gen(function* () {
      const { scope, use } = yield* setup()
      const connecting = yield* fork(Effect.flip(use(SocketIoClient.connect("/a"))))
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* Fiber.join(connecting), { _tag: "ConnectError", willRetry: false })
    })
  )

  it.effect("is not sent after the end, when the first event to arrive is answered by leaving", () =>
    Effect.gen(function* () {
      const { admit, last, use } = yield* setup()
      // Keeps the connection open.
      yield* use(SocketIoClient.socket("/other"))
      const server = admit("/other")
      const socket = yield* use(SocketIoClient.socket("/a"))
      const seen = yield* statuses(socket)
      const heard = yield* Queue.unbounded<string>()
      yield* socket.respond("bye", () => Effect.andThen(Queue.offer(heard, "bye"), socket.disconnect()))
      yield* socket.emit("late")
      yield* settled
      assert.deepStrictEqual(server.take(), ["40/other,", "40/a,"])
      server.events.onText('42/a,["bye"]')
      server.events.onText('42/a,["bye"]')
      server.events.onText('40/a,{"sid":"x"}')
      yield* settled
      assert.deepStrictEqual(last().take(), ["41/a,"])
      assert.deepStrictEqual(seen, ["Connecting", "Disconnected"])
      assert.isFalse(socket.connected)
      assert.deepStrictEqual(yield* Queue.takeAll(heard), ["bye"])
    })
  )
})

describe("a platform", () => {
  for (const reason of ["no way", undefined, null]) {
    it.effect(`may fail a request with ${String(reason)}, which is no Error`, () =>
      Effect.gen(function* () {
        const platform = { ...makeFakePlatform(), request: () => Effect.fail(reason as never) }
        const client = yield* SocketIoClient.make({
          url: "http://test",
          transports: ["polling"],
          reconnection: false
        }).pipe(Effect.provideService(ClientPlatform, platform))
        const error = yield* SocketIoClient.connect("/").pipe(
          Effect.provideService(SocketIoClient.SocketIoClient, client),
          Effect.flip
        )
        assert.strictEqual(error.message, `GET failed: ${String(reason)}`)
      })
    )
  }
})
