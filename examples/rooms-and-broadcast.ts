/**
 * Rooms: those who are in them, positions that may get lost, and an announcement to everybody now
 * and then.
 *
 *     npx node examples/rooms-and-broadcast.ts
 *
 * In another terminal, in `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000/office", { auth: { name: "Ada" } })
 *     socket.onAny((...event) => console.log(event))
 *     await socket.emitWithAck("enter", "kitchen")          // then presence_state and presence_diff
 *     socket.emit("move", 1, 2)                             // the others in the kitchen see it
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schedule, Schema, Stream } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { Presence, PresenceModel } from "effect-socket.io/presence"
import { SocketIoServer } from "effect-socket.io/server"

const Name = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(30))

/** Those who are in a room, by name: somebody with two tabs is there once. */
class People extends Presence.Service<People>()("office/People", {
  meta: Schema.Struct({ since: Schema.Date })
}) {}

class Office extends Namespace.make("/office", {
  auth: Schema.Struct({ name: Name }),
  clientToServer: [
    Event.make("enter", { payload: Name, ack: Schema.Void, error: PresenceModel.PresenceRefused }),
    Event.make("leave", { payload: Name, ack: Schema.Void }),
    Event.make("move", { args: [Schema.Finite, Schema.Finite] })
  ],
  serverToClient: [
    ...Presence.events(People),
    Event.make("moved", { args: [Name, Schema.Finite, Schema.Finite] }),
    Event.make("announcement", { payload: Schema.String })
  ]
}) {}

const OfficeLive = SocketIoServer.layerNamespace(
  Office,
  Effect.fnUntraced(function* (socket) {
    const people = yield* People
    const { name } = socket.auth
    const rooms = () => Array.from(socket.rooms).filter((room) => room !== socket.id)

    return Office.of({
      // The socket joins the room, and leaves the list of its people when it disconnects.
      enter: (room) => {
        const since = new Date(socket.handshake.issued)
        return Effect.asVoid(people.track(socket, { room, key: name, meta: { since } }))
      },
      leave: (room) => Effect.andThen(people.untrack(socket, room), socket.leave(room)),
      // Slow clients miss this position: the next one replaces it. Outside of rooms nobody gets it.
      move: ([x, y]) => (rooms().length === 0 ? Effect.void : socket.to(rooms()).volatile.emit("moved", [name, x, y]))
    })
  })
)

/** Logs comings, goings and changes of rooms, from the namespace's own streams. */
const Log = Layer.effectDiscard(
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

const PeopleLive = Presence.layer(People, { namespace: Office })

const Main = NodeSocketIoServer.serve(Layer.mergeAll(Layer.provide(OfficeLive, PeopleLive), Log, Announcements), {
  port: Number(process.env.PORT ?? 3000)
})

NodeRuntime.runMain(Layer.launch(Main))
