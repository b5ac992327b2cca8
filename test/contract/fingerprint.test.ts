/**
 * The fingerprint of a contract: servers tell it to clients of this library, which notice another one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schema } from "effect"
import { TestClock } from "effect/testing"

import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as ContractDiff from "../../src/ContractDiff.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { accept, settle } from "../client/rawServer.ts"

const join = (room: Event.AnySchema, description = "") =>
  Event.make("join", { payload: Schema.Struct({ room, at: Schema.Date }), ack: Schema.Int, description })

const chat = (...events: ReadonlyArray<Event.Any>) => Namespace.make("/chat", { clientToServer: events })

const Chat = Namespace.make("/chat", {
  clientToServer: [Event.make("join", { payload: { room: Schema.String, at: Schema.Date }, ack: Schema.Int })]
})

describe("the fingerprint of a contract", () => {
  it("is the same for the same contract, and another one after a change that clients may notice", () => {
    const { fingerprint } = ContractDiff
    assert.match(fingerprint(Chat), /^[0-9a-z]{11}$/)
    const same = [
      chat(join(Schema.String, "Enters a room.")),
      chat(Event.make("join", { payload: { at: Schema.Date, room: Schema.String }, ack: Schema.Int }))
    ]
    assert.deepStrictEqual(same.map(fingerprint), [fingerprint(Chat), fingerprint(Chat)])
    const others = [
      chat(join(Schema.Int)),
      chat(join(Schema.String.check(Schema.isMaxLength(9)))),
      chat(join(Schema.String), Event.make("leave")),
      chat()
    ]
    assert.lengthOf(new Set([Chat, ...others].map(fingerprint)), 5)
  })

  it("is not made of contracts without end, which work all the same", () => {
    let schema: Event.AnySchema = Schema.String
    for (let i = 0; i < 20; i++) schema = Schema.Struct({ one: schema, two: schema }) as never
    assert.throws(() => ContractDiff.fingerprint(chat(Event.make("say", { payload: schema }))), "too large")
  })
})

const layer = Layer.mergeAll(
  SocketIoServer.layerNamespace(Chat, () => Effect.succeed(Chat.of({ join: () => Effect.succeed(1) }))),
  SocketIoServer.layerNamespace("/", () => Effect.void)
)

describe("a server", () => {
  for (const recovery of [false, true] as const) {
    it.effect(`tells it to clients of this library alone, ${recovery ? "with" : "without"} recovery`, () =>
      Effect.gen(function* () {
        const told = Effect.fnUntraced(function* (query: Record<string, string>, namespace: string) {
          const peer = yield* TestSocketIo.rawClient({ query })
          yield* peer.receive
          yield* peer.send(`40${namespace},`)
          const packet = String(yield* peer.receive)
          return JSON.parse(packet.slice(packet.indexOf("{"))).fx
        })
        assert.deepStrictEqual(yield* told({ fx: "1" }, "/chat"), { contract: ContractDiff.fingerprint(Chat) })
        assert.isUndefined(yield* told({}, "/chat"))
        assert.isUndefined(yield* told({ fx: "1" }, "/"))
      }).pipe(
        Effect.scoped,
        Effect.provide(layer.pipe(Layer.provideMerge(TestSocketIo.layer(recovery ? { recovery: {} } : {}))))
      )
    )
  }
})

/** A client whose server is the test, which tells one fingerprint after the other; what it logs. */
const logged = Effect.fnUntraced(function* (fingerprint: string | undefined, told: ReadonlyArray<unknown>) {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
  yield* Effect.gen(function* () {
    yield* SocketIoClient.socket(Chat)
    for (const fx of told) {
      const connection = yield* accept
      yield* connection.receive
      yield* connection.send(`40/chat,${JSON.stringify({ sid: "a", fx })}`)
      yield* settle
      yield* connection.close
      yield* TestClock.adjust("10 seconds")
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(
      TestSocketIo.layerRawServer({
        extras: [ClientExtras.contracts(fingerprint === undefined ? {} : { "/chat": fingerprint })]
      })
    ),
    Effect.provide(Logger.layer([logger]))
  )
  return lines.filter((line) => line.includes("contract"))
})

describe("a client", () => {
  const extras = (fingerprint: string) => [ClientExtras.contracts({ "/chat": fingerprint })]
  const warning = 'Warn "/chat" has another contract at the server'

  it.effect("warns once, when the server has another contract than before", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged(undefined, [{ contract: "a" }, {}, { contract: "a" }, null, 1]), [])
      assert.deepStrictEqual(yield* logged(undefined, [{ contract: "a" }, { contract: "b" }, { contract: "c" }]), [
        warning
      ])
    })
  )

  it.effect("warns at once, when it knows its own contract", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged("a", [{ contract: "a" }]), [])
      assert.deepStrictEqual(yield* logged("a", [{ contract: "b" }, { contract: "b" }]), [warning])
      assert.deepStrictEqual(yield* logged("a", [undefined]), [])
    })
  )

  it.effect("agrees with the server on a contract that both have", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function* () {
      const socket = yield* SocketIoClient.connect(Chat)
      assert.strictEqual(yield* socket.emitWithAck("join", { room: "lobby", at: new Date(0) }), 1)
      assert.deepStrictEqual(
        lines.filter((line) => line.includes("contract")),
        []
      )
      const client = yield* TestSocketIo.makeClient({ extras: extras("stale") })
      yield* Effect.provideService(SocketIoClient.connect(Chat), SocketIoClient.SocketIoClient, client)
      assert.lengthOf(
        lines.filter((line) => line.includes("another contract")),
        1
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(
        layer.pipe(
          Layer.provideMerge(TestSocketIo.layer({ client: { extras: extras(ContractDiff.fingerprint(Chat)) } }))
        )
      ),
      Effect.provide(Logger.layer([logger]))
    )
  })
})
