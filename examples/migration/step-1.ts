/**
 * The first step: this library's server in the place of the official one. Nothing is declared, so
 * each handler stays what it was, and clients see no difference.
 *
 *     npx node examples/migration/step-1.ts
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { NodeRuntime } from "@effect/platform-node"
import { Context, Effect, Layer, Result, Stream } from "effect"
import { Namespace, NamespaceMiddleware } from "effect-socket.io"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"
import express from "express"

const users = new Map([
  ["ada-token", "Ada"],
  ["bob-token", "Bob"],
  ["eve-token", "Eve"]
])

const app = express()
const http = createServer(app)

// ---------------------------------------------------------------- authentication

/** The user that the middleware put into `socket.data` is a service of the handlers now. */
class UserName extends Context.Service<UserName, string>()("club/UserName") {}

class Authentication extends NamespaceMiddleware.Service<Authentication>()("club/Authentication", {
  provides: UserName
}) {}

const AuthenticationLive = Layer.succeed(Authentication, ({ auth }) => {
  const name = users.get((auth as { readonly token: string }).token)
  return name === undefined
    ? Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "not authorized", data: { code: 401 } }))
    : Effect.succeed(name)
})

// ---------------------------------------------------------------- the club

class Club extends Namespace.untyped("/").middleware(Authentication) {}

const roomOf = (name: string) => `room:${name}`

/** How often each event came, of all sockets. */
const counts = new Map<string, number>()

const ClubLive = SocketIoServer.layerNamespace(
  Club,
  Effect.fnUntraced(function* (socket) {
    const name = yield* UserName
    const club = yield* SocketIoServer.namespace(Club)
    yield* socket.setData({ name })
    yield* socket.emit("welcome", name)

    yield* socket.onAny((event) => Effect.sync(() => counts.set(event, (counts.get(event) ?? 0) + 1)))

    yield* socket.on("join", (room) =>
      Effect.gen(function* () {
        if (!/^[a-z]{1,20}$/.test(room as string)) return { ok: false, problem: "no such room" }
        yield* socket.join(roomOf(room as string))
        yield* socket.to(roomOf(room as string)).emit("joined", room, name)
        return { ok: true, members: yield* club.in(roomOf(room as string)).size }
      })
    )

    yield* socket.on("mute", () => socket.join("muted"))

    yield* socket.on("say", (room, text) =>
      club
        .to(roomOf(room as string))
        .except("muted")
        .emit("said", room, name, text)
    )

    // Everybody else in the room has half a second to vote.
    yield* socket.on("poll", (room, question) =>
      socket
        .to(roomOf(room as string))
        .emitWithAck("vote", question)
        .pipe(
          Stream.interruptWhen(Effect.sleep("500 millis")),
          Stream.filterMap(({ response }) => Result.map(response, ([vote]) => vote)),
          Stream.runCollect,
          Effect.map((votes) => ({
            yes: votes.filter(Boolean).length,
            no: votes.filter((vote) => vote === false).length
          }))
        )
    )

    yield* socket.on("check", (who) =>
      Effect.gen(function* () {
        const other = (yield* club.fetchSockets).find(({ data }) => data.name === who)
        if (other === undefined) return "not here"
        return yield* other.emitWithAck("still there").pipe(
          Effect.timeout("500 millis"),
          Effect.map(([answer]) => answer),
          Effect.orElseSucceed(() => "silent")
        )
      })
    )

    const uploads = new Map<unknown, { readonly name: string; readonly size: number; received: number }>()

    yield* socket.on("upload", (file) =>
      Effect.sync(() => {
        const id = uploads.size + 1
        uploads.set(id, { ...(file as { readonly name: string; readonly size: number }), received: 0 })
        return id
      })
    )

    yield* socket.on("chunk", (id, bytes) =>
      Effect.gen(function* () {
        const upload = uploads.get(id)
        if (upload === undefined) return { ok: false, problem: "no such upload" }
        upload.received += (bytes as Uint8Array).length
        yield* socket.emit("progress", id, upload.received / upload.size)
        if (upload.received >= upload.size) yield* socket.broadcast.emit("uploaded", name, upload.name)
        return { ok: true, received: upload.received }
      })
    )

    yield* socket.onDisconnecting(() =>
      Effect.forEach(
        Array.from(socket.rooms).filter((room) => room !== socket.id),
        (room) => socket.to(room).emit("left", name)
      )
    )
  })
)

// ---------------------------------------------------------------- a namespace for each board

class Board extends Namespace.untypedDynamic(/^\/board-\d+$/).middleware(Authentication) {}

const BoardsLive = SocketIoServer.layerDynamicNamespace(Board, () =>
  Effect.succeed(
    Effect.fnUntraced(function* (socket) {
      const name = yield* UserName
      yield* socket.emit("board", Number(socket.namespace.slice("/board-".length)))
      yield* socket.on("draw", (x, y) => socket.broadcast.emit("drawn", name, x, y))
    })
  )
)

// ---------------------------------------------------------------- routes

const Routes = Layer.effectDiscard(
  Effect.gen(function* () {
    const club = yield* SocketIoServer.namespace(Club)
    const run = Effect.runPromiseWith(yield* Effect.context())

    app.get("/rooms/:room", async (request, response) => {
      const members = await run(club.in(roomOf(request.params.room)).fetchSockets)
      response.json(members.map(({ data }) => data.name as string).toSorted())
    })

    app.get("/counts", (_request, response) => {
      response.json(Object.fromEntries(counts))
    })
  })
)

const Listening = Layer.effectDiscard(
  Effect.gen(function* () {
    yield* Effect.callback<void>((resume) => {
      http.listen(Number(process.env.PORT ?? 3000), () => resume(Effect.void))
    })
    yield* Effect.logInfo(`listening on http://localhost:${(http.address() as AddressInfo).port}`)
  })
)

const Closing = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => http.close())))

const Main = Listening.pipe(
  Layer.provide(Layer.mergeAll(ClubLive, BoardsLive, Routes)),
  Layer.provide(AuthenticationLive),
  Layer.provide(NodeSocketIoServer.layerAttached(http)),
  Layer.provide(Closing)
)

NodeRuntime.runMain(Layer.launch(Main))
