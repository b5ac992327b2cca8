/**
 * Values that types allow in a contract, and what becomes of them on the wire.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue, Schema } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, next, serve } from "../support/serve.ts"

class User extends Schema.Class<User>("User")({ name: Schema.String, since: Schema.Date }) {}

const Told = Event.make("told", { payload: User })
const Several = Event.make("several", { args: [User, Schema.Array(User)] })
const Ask = Event.make("ask", { payload: { user: User }, ack: Schema.UndefinedOr(Schema.String) })

class Crew extends Namespace.make("/crew", {
  clientToServer: [
    Event.make("find", { payload: Schema.UndefinedOr(Schema.String), ack: Schema.Array(User) }),
    Event.make("anything", { payload: Schema.Void, ack: Schema.String }),
    Event.make("named", { payload: Schema.String, ack: Schema.String, error: Schema.String })
  ],
  serverToClient: [Told, Several, Ask],
  data: { user: User }
}) {}

const since = new Date(0)
const ada = { name: "Ada", since }
const onWire = { name: "Ada", since: since.toISOString() }

/** A client, and its socket. */
const aboard = Effect.gen(function* () {
  const sockets = yield* Queue.unbounded<ServerSocket<typeof Crew>>()
  const { server, url } = yield* serve(
    SocketIoServer.layerNamespace(Crew, (socket) =>
      Effect.as(
        Queue.offer(sockets, socket),
        Crew.of({
          find: (name) => Effect.succeed(name === undefined ? [ada, new User(ada)] : []),
          anything: () => Effect.succeed("done"),
          named: (name) => Effect.succeed(name)
        })
      )
    )
  )
  const client = yield* connect(`${url}/crew`)
  const crew = yield* Effect.provideContext(SocketIoServer.namespace(Crew), server)
  return { client, crew, socket: yield* Queue.take(sockets) }
})

describe("an object in the place of a class", () => {
  it.live("is made an instance where it is sent, broadcast, answered or kept", () =>
    Effect.gen(function* () {
      const { client, crew, socket } = yield* aboard
      const told = next(client, "told")
      yield* socket.emit("told", ada)
      assert.deepStrictEqual(yield* told, [onWire])
      const several = next(client, "several")
      yield* crew.emit("several", [new User(ada), [ada, new User(ada)]])
      assert.deepStrictEqual(yield* several, [onWire, [onWire, onWire]])
      assert.deepStrictEqual(yield* call(client, "find", "nobody"), [])
      assert.deepStrictEqual(yield* call(client, "find", null), [onWire, onWire])
      yield* socket.setData({ user: ada })
      const [fetched] = yield* crew.fetchSockets
      assert.instanceOf(fetched!.data.user, User)
    })
  )

  it.live("brings nothing along that the class does not declare", () =>
    Effect.gen(function* () {
      const { client, socket } = yield* aboard
      const told = next(client, "told")
      const more = { ...ada, password: "secret" }
      yield* socket.emit("told", more)
      assert.deepStrictEqual(yield* told, [onWire])
    })
  )

  it.live("is a defect if it cannot be made one, and says why", () =>
    Effect.gen(function* () {
      const { socket } = yield* aboard
      const exit = yield* Effect.exit(socket.emit("told", { name: "Ada", since: new Date(Number.NaN) }))
      assert.match(String(exit), /payload of "told": Expected User/)
    })
  )
})

describe("an argument that is left out", () => {
  it.live("is what undefined is on the wire, in events and in acknowledgements", () =>
    Effect.gen(function* () {
      const { client, socket } = yield* aboard
      assert.lengthOf(yield* call(client, "find"), 2)
      assert.strictEqual(yield* call(client, "anything"), "done")
      client.on("ask", (_question, answer) => answer())
      assert.isUndefined(yield* socket.emitWithAck("ask", { user: ada }))
    })
  )

  it.live("is still refused where something is declared", () =>
    Effect.gen(function* () {
      const { client } = yield* aboard
      assert.deepStrictEqual(yield* call(client, "named"), {
        _tag: "Failure",
        error: { _tag: "PayloadRefused", message: "Expected string" }
      })
    })
  )
})
