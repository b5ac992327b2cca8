/**
 * The client of this library, whose rights end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { SocketStatus } from "../../src/client/ClientSocket.ts"
import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { Desk, makeDesk, type Token, token } from "./desk.ts"
import { settle } from "./raw.ts"

const MINUTE = 60_000

/** A server, and one client of it. */
const connected = Effect.fnUntraced(function* (
  auth: Token | Effect.Effect<Token>,
  options: TestSocketIo.TestOptions = {}
) {
  const desk = yield* makeDesk()
  const context = yield* Layer.build(
    desk.layer.pipe(
      Layer.provideMerge(
        TestSocketIo.layer({
          heartbeat: { pingInterval: "10 days" },
          client: { extras: ClientExtras.server },
          ...options
        })
      )
    )
  )
  const encoded = Effect.isEffect(auth)
    ? Effect.map(auth, (claims) => ({ token: token(claims) }))
    : { token: token(auth) }
  const client = yield* Effect.provideContext(SocketIoClient.connect(Desk, { auth: encoded }), context)
  const statuses: Array<SocketStatus> = []
  yield* Effect.forkScoped(
    Stream.runForEach(client.status, (status) => Effect.sync(() => void statuses.push(status))),
    { startImmediately: true }
  )
  return { ...desk, client, statuses, socket: yield* desk.next }
})

/** A token that lasts for ten minutes from the moment in which it is made. */
const fresh = Effect.map(Clock.currentTimeMillis, (now): Token => ({
  name: "ada",
  rooms: ["a"],
  at: now + 10 * MINUTE,
  notice: MINUTE
}))

const pass = (minutes: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < minutes; i++) {
      yield* TestClock.adjust(MINUTE)
      yield* settle
    }
  })

describe("a client of this library", () => {
  it.effect("refreshes its rights by its `auth` effect, for hours, without a cut", () =>
    Effect.gen(function* () {
      const { client, socket, statuses, told } = yield* connected(fresh)
      const { id } = client
      yield* pass(120)
      assert.deepStrictEqual([client.id, socket.connected], [id, true])
      assert.deepStrictEqual(statuses, [
        { _tag: "Connected", id: id!, recovered: false, auth: { expiresIn: 10 * MINUTE } }
      ])
      // Every nine minutes.
      assert.lengthOf(told, 13)
    })
  )

  it.effect(
    "moves to a new connection at the end, where nothing refreshes its rights: other clients see an outage",
    () =>
      Effect.gen(function* () {
        let made = 0
        // In the middle it cannot make another token, as the issuer does not answer.
        const auth = Effect.suspend(() => (++made === 2 ? Effect.never : fresh))
        const { client, next, socket, statuses } = yield* connected(auth, { recovery: true })
        const { id } = client
        yield* pass(11)
        const again = yield* next
        assert.isTrue(again.recovered)
        assert.deepStrictEqual([socket.connected, again.connected, client.id], [false, true, id])
        assert.deepStrictEqual(
          statuses.map(({ _tag }) => _tag),
          ["Connected", "Connected"]
        )
        assert.strictEqual(yield* client.emitWithAck("whoami"), "ada of a")
      })
  )

  it.effect("with a token that is always the same is closed at its end, and refused then", () =>
    Effect.gen(function* () {
      const { client, statuses, told } = yield* connected({ name: "ada", at: 10 * MINUTE, notice: MINUTE })
      yield* pass(10)
      assert.isTrue(client.connected)
      yield* pass(1)
      const last = statuses.at(-1)!
      assert(last._tag === "Failed")
      assert.strictEqual(last.error.message, "Auth expired")
      assert.deepStrictEqual(last.error.reason, { _tag: "Refused", data: { code: "expired" } })
      assert.isFalse(last.error.willRetry)
      assert.deepStrictEqual(told, [])
    })
  )

  it.effect("whose `auth` fails keeps its connection until the end", () =>
    Effect.gen(function* () {
      let made = 0
      const auth = Effect.suspend(() => (++made === 2 ? Effect.die("no issuer") : fresh))
      const { client } = yield* connected(auth)
      yield* pass(9)
      assert.strictEqual(made, 2)
      assert.isTrue(client.connected)
      yield* pass(2)
      assert.isTrue(client.connected)
      assert.strictEqual(made, 3)
    })
  )

  it.effect("drops a refresh whose `auth` is late: the next connection has another one", () =>
    Effect.gen(function* () {
      let made = 0
      const interrupted: Array<number> = []
      const auth = Effect.suspend(() => {
        const n = ++made
        return n === 2 ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push(n))) : fresh
      })
      const { client, told } = yield* connected(auth)
      yield* pass(9)
      assert.deepStrictEqual([made, interrupted], [2, []])
      yield* pass(2)
      assert.deepStrictEqual([made, interrupted, client.connected, told], [3, [2], true, []])
    })
  )

  it.effect("may refresh by hand, typed by the contract, and reads the notices as events", () =>
    Effect.gen(function* () {
      const { client } = yield* connected({ name: "ada", in: MINUTE, notice: 10_000 })
      const notices: Array<number> = []
      yield* Effect.forkScoped(
        Stream.runForEach(client.stream("auth:expiring"), ({ expiresIn }) =>
          Effect.sync(() => void notices.push(expiresIn))
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust(50_000)
      yield* settle
      assert.deepStrictEqual(notices, [10_000])
      const { expiresIn } = yield* client.emitWithAck("auth", { token: token({ name: "ada", in: MINUTE }) })
      assert.strictEqual(expiresIn, MINUTE)
      const refused = yield* Effect.flip(client.emitWithAck("auth", { token: token({ name: "suspended" }) }))
      assert(refused._tag === "Suspended")
      assert.strictEqual(refused.until, 7)
      const stranger = yield* Effect.flip(client.emitWithAck("auth", { token: token({ name: "nobody" }) }))
      assert(stranger._tag === "ConnectRefused")
      assert.strictEqual(stranger.message, "who?")
    })
  )
})
