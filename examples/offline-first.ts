/**
 * A list of things to do on several devices: Effect's EventLog over Socket.IO. A device writes to its own journal at once,
 * with or without a network, and the others have it when they can be reached. The server sees nothing but encrypted entries.
 *
 *     npx node examples/offline-first.ts                     # the server
 *     npx node examples/offline-first.ts device              # the first device: it prints the identity
 *     npx node examples/offline-first.ts device IDENTITY     # the same list on another device
 *
 * Each line that you type on a device is a thing to do. The lines `offline` and `online` take the device off the network and
 * back.
 */
import { createInterface } from "node:readline"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schedule, Schema, Stream } from "effect"
import {
  EventGroup,
  EventJournal,
  EventLog,
  EventLogEncryption,
  EventLogRemote,
  EventLogServerEncrypted
} from "effect/eventlog"
import { RpcClient } from "effect/rpc"
import { SocketIoClient } from "effect-socket.io/client"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoRpcClient, SocketIoRpcServer } from "effect-socket.io/rpc"

const Todos = EventGroup.empty.add({
  tag: "TodoAdded",
  primaryKey: ({ id }) => id,
  payload: Schema.Struct({ id: Schema.String, text: Schema.String })
})

const schema = EventLog.schema(Todos)

// ---------------------------------------------------------------- the server

const server = EventLogServerEncrypted.layer.pipe(
  Layer.provide(EventLogServerEncrypted.layerStorageMemory),
  Layer.provide(SocketIoRpcServer.layerProtocol("/log")),
  Layer.provide(NodeSocketIoServer.layer({ port: Number(process.env.PORT ?? 3000), recovery: true })),
  Layer.launch
)

// ---------------------------------------------------------------- a device

const TodosLive = EventLog.group(Todos, (handlers) =>
  handlers.handle("TodoAdded", ({ payload }) => Console.log(`to do: ${payload.text}`))
)

const device = Effect.gen(function* () {
  // It waits for nothing: a device may start without a network.
  const socket = yield* SocketIoClient.socket("/log")
  const protocol = yield* SocketIoRpcClient.protocolOf(socket)
  const remote = EventLogRemote.layerEncrypted.pipe(Layer.provide(Layer.succeed(RpcClient.Protocol, protocol)))
  yield* Effect.forkScoped(Effect.retry(Layer.build(remote), Schedule.spaced("1 second")))

  const write = yield* EventLog.makeClient(schema)
  yield* Console.log(`the list's identity: ${EventLog.encodeIdentityString(yield* EventLog.Identity)}`)
  yield* Stream.fromAsyncIterable(createInterface({ input: process.stdin }), (cause) => cause).pipe(
    Stream.runForEach((line): Effect.Effect<unknown, unknown> => {
      if (line === "offline") return Effect.andThen(socket.disconnect(), Console.log("off the network"))
      if (line === "online") return Effect.andThen(socket.reconnect(), Console.log("on the network"))
      return write({ event: "TodoAdded", payload: { id: crypto.randomUUID(), text: line } })
    })
  )
})

const identity = process.argv[3]
const IdentityLive = Layer.effect(
  EventLog.Identity,
  identity === undefined ? EventLog.makeIdentity : Effect.sync(() => EventLog.decodeIdentityString(identity))
).pipe(Layer.provide(EventLogEncryption.layerSubtle))

const client = device.pipe(
  Effect.scoped,
  Effect.provide(EventLog.layer(schema, TodosLive)),
  // A page has `EventJournal.layerIndexedDb`, which keeps the journal.
  Effect.provide(EventJournal.layerMemory),
  Effect.provide(IdentityLive),
  Effect.provide(SocketIoClient.layer({ url: process.env.SERVER ?? "http://localhost:3000" }))
)

const main: Effect.Effect<unknown, unknown> = process.argv[2] === "device" ? client : server

NodeRuntime.runMain(main)
