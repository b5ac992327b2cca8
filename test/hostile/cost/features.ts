/**
 * The features of a server that it has on request, for the measurements: streams that are read again,
 * RPC, presence, messages that are handled once, and the Admin UI.
 */
import { Effect, Layer, Redacted, Schema, Stream } from "effect"
import { Rpc, RpcGroup, RpcServer } from "effect/rpc"

import * as Admin from "../../../src/admin/Admin.ts"
import * as Event from "../../../src/Event.ts"
import * as Namespace from "../../../src/Namespace.ts"
import * as Presence from "../../../src/presence/Presence.ts"
import * as PresenceModel from "../../../src/presence/PresenceModel.ts"
import * as SocketIoRpcServer from "../../../src/rpc/SocketIoRpcServer.ts"
import * as SocketIoServer from "../../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../../src/StreamEvent.ts"

class Streams extends Namespace.make("/streams", {
  clientToServer: [
    Event.make("once", { payload: Schema.String, ack: Schema.String, once: {} }),
    Event.make("dies", { payload: Schema.String, ack: Schema.String, once: {} })
  ]
})
  .add(StreamEvent.make("long", { item: Schema.String }))
  .add(StreamEvent.make("never", { item: Schema.String }))
  .add(StreamEvent.make("asked", { payload: Schema.String, item: Schema.String }))
  .add(StreamEvent.make("none", { item: Schema.String })) {}

const StreamsLive = SocketIoServer.layerNamespace(Streams, () =>
  Effect.succeed(
    Streams.of({
      once: (text) => Effect.succeed(text),
      // Copies of its message wait meanwhile.
      dies: () => Effect.andThen(Effect.sleep("1 millis"), Effect.die("not now")),
      // A megabyte of words.
      long: () => Stream.rechunk(Stream.fromIterable(Array.from({ length: 2_000 }, () => "x".repeat(500))), 100),
      never: () => Stream.never,
      asked: () => Stream.never,
      none: () => Stream.empty
    })
  )
)

class Rpcs extends RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Never"),
  Rpc.make("Words", { success: Schema.String, stream: true })
) {}

const RpcsLive = RpcServer.layer(Rpcs).pipe(
  Layer.provide(
    Rpcs.toLayer({
      Echo: ({ text }) => Effect.succeed(text),
      Never: () => Effect.never,
      Words: () => Stream.make("one", "two", "three")
    })
  ),
  Layer.provide(SocketIoRpcServer.layerProtocol("/rpc"))
)

class Online extends Presence.Service<Online>()("app/Online", { meta: Schema.Struct({ status: Schema.String }) }) {}

class Present extends Namespace.make("/online", {
  clientToServer: [
    Event.make("enter", { payload: Schema.String, ack: Schema.Void, error: PresenceModel.PresenceRefused }),
    Event.make("leave", { payload: Schema.String }),
    Event.make("status", { payload: Schema.String })
  ],
  serverToClient: [...Presence.events(Online)]
}) {}

const PresentLive = SocketIoServer.layerNamespace(
  Present,
  Effect.fnUntraced(function* (socket) {
    const online = yield* Online
    const key = socket.id
    const lobby = yield* Effect.orDie(online.track(socket, { room: "lobby", key, meta: { status: "here" } }))
    return Present.of({
      enter: (room) => Effect.asVoid(online.track(socket, { room, key, meta: { status: "here" } })),
      leave: (room) => Effect.andThen(online.untrack(socket, room), socket.leave(room)),
      status: (status) => Effect.ignore(lobby.update({ status }))
    })
  })
).pipe(Layer.provide(Presence.layer(Online, { namespace: Present })))

const AdminLive = Admin.layer({
  auth: Admin.basic({ username: "admin", password: Redacted.make("a long passphrase") })
})

export const FeaturesLive = Layer.mergeAll(StreamsLive, RpcsLive, PresentLive, AdminLive)
