/**
 * The client's protocol against a server that is the test: moves to another server, and faults that no server of this library has.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Queue, Schema } from "effect"
import { Rpc, RpcClient, RpcGroup } from "effect/rpc"

import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoRpcClient from "../../src/rpc/SocketIoRpcClient.ts"
import type { RawConnection } from "../../src/testing/RawPeer.ts"
import { accept, ask, connected, run, settle } from "../client/rawServer.ts"

const Group = RpcGroup.make(
  Rpc.make("Ask", { success: Schema.Int }),
  Rpc.make("Numbers", { success: Schema.Int, stream: true })
)

const clientOf = (socket: ClientSocket<any>) =>
  Effect.gen(function* () {
    let id = 0
    const protocol = yield* SocketIoRpcClient.protocolOf(socket)
    const client = yield* RpcClient.make(Group, {
      disableTracing: true,
      generateRequestId: () => id++ as never
    }).pipe(Effect.provideService(RpcClient.Protocol, protocol))
    const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.tap(Effect.forkChild(Effect.exit(effect), { startImmediately: true }), () => settle)
    return { client, fork }
  })

const said = (frame: object) => `42/chat,${JSON.stringify(["rpc", frame])}`
const request = (id: number, tag: string) => said({ _tag: "Request", id, tag, payload: null, headers: [] })
const success = (requestId: number, value: unknown) =>
  said({ _tag: "Exit", requestId, exit: { _tag: "Success", value } })

/** The frames that the client has sent. */
const frames = (connection: RawConnection) => Effect.andThen(settle, connection.received)

const messageOf = (exit: Exit.Exit<unknown, any>): unknown => {
  const error = Exit.findErrorOption(exit)
  return error._tag === "Some" ? error.value.reason.message : String(exit)
}

describe("a client that moves to another server", () => {
  it.effect("asks for the calls that the server knows, and sends none twice", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket } = yield* connected({ pid: "p" })
        const { client, fork } = yield* clientOf(socket)
        const before = yield* fork(client.Ask())
        yield* ask(connection)
        const next = yield* accept
        yield* settle
        const during = yield* fork(client.Ask())
        assert.deepStrictEqual((yield* frames(connection))[0], request(0, "Ask"))
        yield* connection.send('422147483647["~fx:moved"]')
        yield* settle
        yield* next.received
        yield* next.send('40/chat,{"sid":"first","pid":"p"}')
        assert.deepStrictEqual(yield* frames(next), [request(1, "Ask"), said({ _tag: "Resume", question: 1 })])
        const after = yield* fork(client.Ask())
        assert.deepStrictEqual(yield* frames(next), [])
        // An answer to an earlier question is not one to this.
        yield* next.send(said({ _tag: "Resumed", question: 0, requests: [] }))
        assert.deepStrictEqual(yield* frames(next), [])
        yield* next.send(said({ _tag: "Resumed", question: 1, requests: [[1, 0]] }))
        // The first one was lost.
        assert.deepStrictEqual(yield* frames(next), [request(0, "Ask"), request(2, "Ask")])
        for (const id of [0, 1, 2]) yield* next.send(success(id, id))
        const exits = yield* Effect.all([before, during, after].map(Fiber.join))
        assert.deepStrictEqual(exits, [Exit.succeed(0), Exit.succeed(1), Exit.succeed(2)])
      })
    )
  )

  it.effect("sees its calls fail where the next server does not know it", () =>
    run(
      Effect.gen(function* () {
        const { connection, socket } = yield* connected()
        const { client, fork } = yield* clientOf(socket)
        const call = yield* fork(client.Ask())
        yield* ask(connection)
        const next = yield* accept
        yield* settle
        yield* connection.send('422147483647["~fx:moved"]')
        yield* settle
        yield* next.received
        yield* next.send('40/chat,{"sid":"second"}')
        yield* settle
        assert.strictEqual(messageOf(yield* Fiber.join(call)), "the client has moved to another server")
        const again = yield* fork(client.Ask())
        assert.deepStrictEqual(yield* frames(next), [request(1, "Ask")])
        yield* next.send(success(1, 5))
        assert.deepStrictEqual(yield* Fiber.join(again), Exit.succeed(5))
      })
    )
  )
})

describe("a client that has recovered", () => {
  it.effect("sees its calls fail where the server does not have them, or where chunks are missing", () =>
    run(
      Effect.gen(function* () {
        for (const answer of [
          { _tag: "Reset" },
          {
            _tag: "Resumed",
            requests: [
              [1, 3],
              [7, 0]
            ]
          }
        ] as const) {
          const { connection, socket } = yield* connected({ pid: "p" })
          const { client, fork } = yield* clientOf(socket)
          const call = yield* fork(client.Ask())
          const numbers: Queue.Dequeue<number, unknown> = yield* client.Numbers(undefined, { asQueue: true })
          yield* settle
          yield* connection.send(said({ _tag: "Chunk", requestId: 1, values: [1, 2] }))
          yield* settle
          yield* ask(connection)
          const next = yield* accept
          yield* settle
          yield* connection.send('422147483647["~fx:moved"]')
          yield* settle
          yield* next.received
          yield* next.send('40/chat,{"sid":"first","pid":"p"}')
          yield* settle
          yield* next.received
          yield* next.send(said({ ...answer, question: 1 }))
          if (answer._tag === "Reset") {
            assert.strictEqual(messageOf(yield* Fiber.join(call)), "not connected")
            assert.deepStrictEqual(yield* frames(next), [])
          } else {
            const interrupts = [1, 7].map((requestId) => said({ _tag: "Interrupt", requestId }))
            assert.deepStrictEqual(yield* frames(next), [...interrupts, request(0, "Ask")])
            assert.isUndefined(call.pollUnsafe())
          }
          assert.deepStrictEqual([yield* Queue.take(numbers), yield* Queue.take(numbers)], [1, 2])
          const end = messageOf(yield* Effect.exit(Queue.take(numbers)))
          assert.strictEqual(end, answer._tag === "Reset" ? "not connected" : "2 chunks are missing after an outage")
          yield* socket.disconnect()
        }
      })
    )
  )
})

describe("a server that breaks the rules", () => {
  const calling = (test: (context: any) => Effect.Effect<void, unknown, any>) =>
    run(
      Effect.gen(function* () {
        const { connection, socket } = yield* connected()
        yield* test({ ...(yield* clientOf(socket)), connection, socket })
      })
    )

  it.effect("sends more chunks than may wait for a reader: their stream fails alone", () =>
    calling(({ client, connection, fork }) =>
      Effect.gen(function* () {
        const numbers: Queue.Dequeue<number, unknown> = yield* client.Numbers(undefined, {
          asQueue: true,
          streamBufferSize: 1
        })
        const call = yield* fork(client.Ask())
        yield* connection.received
        for (let n = 0; n < 1_010; n++) yield* connection.send(said({ _tag: "Chunk", requestId: 0, values: [n] }))
        const sent: ReadonlyArray<unknown> = yield* frames(connection)
        assert.include(sent, said({ _tag: "Interrupt", requestId: 0 }))
        let taken = 0
        const error = yield* Effect.flip(Effect.forever(Effect.map(Queue.take(numbers), () => taken++)))
        assert.include(String(error), "more than 1000 chunks wait for their reader")
        assert.isBelow(taken, 10)
        yield* connection.send(success(1, 5))
        assert.deepStrictEqual(yield* Fiber.join(call as Fiber.Fiber<unknown>), Exit.succeed(5))
      })
    )
  )

  it.effect("sends chunks of calls that are over: it is told once", () =>
    calling(({ client, connection, fork }) =>
      Effect.gen(function* () {
        const call = yield* fork(client.Ask())
        yield* connection.received
        for (let n = 0; n < 5; n++) yield* connection.send(said({ _tag: "Chunk", requestId: 9, values: [n] }))
        yield* connection.send(success(9, 1))
        assert.deepStrictEqual(yield* frames(connection), [said({ _tag: "Interrupt", requestId: 9 })])
        for (const frame of [null, 1, "x", {}, { _tag: "Exit" }, { _tag: "Unknown" }, { _tag: "Reset", question: 0 }]) {
          yield* connection.send(`42/chat,${JSON.stringify(["rpc", frame])}`)
        }
        yield* connection.send(success(0, 5))
        assert.deepStrictEqual(yield* Fiber.join(call as Fiber.Fiber<unknown>), Exit.succeed(5))
      })
    )
  )

  it.effect("answers with a value that does not fit: the call dies", () =>
    calling(({ client, connection, fork }) =>
      Effect.gen(function* () {
        const call = yield* fork(client.Ask())
        yield* connection.send(success(0, "text"))
        const exit: any = yield* Fiber.join(call as Fiber.Fiber<unknown>)
        assert.isTrue(Exit.hasDies(exit))
      })
    )
  )
})
