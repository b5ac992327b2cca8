/**
 * Rooms: presence, positions that may get lost, goodbyes, and an announcement to everybody now and
 * then.
 *
 *     npx node examples/rooms-and-broadcast.ts
 *
 * In another terminal, in `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000/office", { auth: { name: "Ada" } })
 *     socket.onAny((...event) => console.log(event))
 *     await socket.emitWithAck("enter", "kitchen")          // the names of the others in the kitchen
 *     socket.emit("move", 1, 2)                             // the others in the kitchen see it
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schedule, Schema, Stream } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"

const Name = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(30))

class Office extends Namespace.make("/office", {
  auth: Schema.Struct({ name: Name }),
  // `fetchSockets` gives these with each socket, also on other servers of a cluster.
  data: { name: Name, since: Schema.Date },
  clientToServer: [
    Event.make("enter", { payload: Name, ack: Schema.Array(Schema.String) }),
    Event.make("leave", { payload: Name, ack: Schema.Void }),
    Event.make("move", { args: [Schema.Finite, Schema.Finite] })
  ],
  serverToClient: [
    Event.make("entered", { args: [Name, Schema.String] }),
    Event.make("left", { args: [Name, Schema.String] }),
    Event.make("moved", { args: [Name, Schema.Finite, Schema.Finite] }),
    Event.make("announcement", { payload: Schema.String })
  ]
}) {}

const OfficeLive = SocketIoServer.layerNamespace(
  Office,
  Effect.fnUntraced(function* (socket) {
    const office = yield* SocketIoServer.namespace(Office)
    const { name } = socket.auth
    yield* socket.setData({ name, since: new Date(socket.handshake.issued) })

    const rooms = () => Array.from(socket.rooms).filter((room) => room !== socket.id)
    // The socket still is in its rooms, so its goodbye reaches the others.
    yield* socket.onDisconnecting(() =>
      Effect.forEach(rooms(), (room) => socket.to(room).emit("left", [name, room]), { discard: true })
    )

    return Office.of({
      enter: Effect.fnUntraced(function* (room) {
        const others = yield* office
          .to(room)
          .except(socket.id)
          .fetchSockets.pipe(
            // A server of a cluster does not answer: the people on the other servers will do.
            Effect.catchTag("ServersMissingError", ({ partial }) => Effect.succeed(partial))
          )
        yield* socket.join(room)
        yield* socket.to(room).emit("entered", [name, room])
        return others.map(({ data }) => data.name ?? "somebody")
      }),
      leave: (room) => Effect.andThen(socket.leave(room), socket.to(room).emit("left", [name, room])),
      // Slow clients miss this position: the next one replaces it. Outside of rooms nobody gets it.
      move: ([x, y]) => (rooms().length === 0 ? Effect.void : socket.to(rooms()).volatile.emit("moved", [name, x, y]))
    })
  })
)

/** Logs comings, goings and changes of rooms, from the namespace's own streams. */
const Presence = Layer.effectDiscard(
  Effect.gen(function* () {
    const office = yield* SocketIoServer.namespace(Office)
    // A log may miss the oldest lines when it is very late. By default these streams fail then.
    const options = { overflow: "dropOldest" } as const
    const comings = Stream.map(office.connections(options), (socket) => `${socket.auth.name} has come`)
    const goings = Stream.map(office.disconnections(options), ({ id, reason }) => `${id} has left: ${reason}`)
    const changes = Stream.map(office.roomChanges(options), (change) =>
      "sid" in change ? `${change._tag} ${change.room}: ${change.sid}` : `${change._tag} ${change.room}`
    )
    yield* Stream.mergeAll([comings, goings, changes], { concurrency: "unbounded" }).pipe(
      Stream.runForEach((line) => Effect.logInfo(line)),
      Effect.forkScoped({ startImmediately: true })
    )
  })
)

/** Announces the number of people now and then. */
const Announcements = Layer.effectDiscard(
  Effect.gen(function* () {
    const office = yield* SocketIoServer.namespace(Office)
    const every = yield* Config.Duration("ANNOUNCE_EVERY").pipe(Config.withDefault("1 minute"))
    yield* Stream.fromEffectSchedule(office.sockets, Schedule.spaced(every)).pipe(
      Stream.map(({ length }) => `${length} of us are here`),
      Stream.run(office.sink("announcement")),
      Effect.forkScoped
    )
  })
)

const Main = NodeSocketIoServer.serve(Layer.mergeAll(OfficeLive, Presence, Announcements), {
  port: Number(process.env.PORT ?? 3000)
})

NodeRuntime.runMain(Layer.launch(Main))
