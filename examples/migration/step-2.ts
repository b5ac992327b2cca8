/**
 * The second step: a contract says what events carry. The compiler knows every payload and answer,
 * and payloads that do not fit reach no handler. Clients see no difference.
 *
 *     npx node examples/migration/step-2.ts
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Stream } from "effect"
import { NamespaceMiddleware } from "effect-socket.io"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"
import express from "express"

import { Authentication, Board, Club, UserName } from "./contract.ts"

const users = new Map([
  ["ada-token", "Ada"],
  ["bob-token", "Bob"],
  ["eve-token", "Eve"]
])

const app = express()
const http = createServer(app)

// ---------------------------------------------------------------- authentication

const AuthenticationLive = Layer.succeed(Authentication, ({ auth }) => {
  const name = users.get(auth.token)
  return name === undefined
    ? Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "not authorized", data: { code: 401 } }))
    : Effect.succeed(name)
})

// ---------------------------------------------------------------- the club

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

    yield* socket.onDisconnecting(() =>
      Effect.forEach(
        Array.from(socket.rooms).filter((room) => room !== socket.id),
        (room) => socket.to(room).emit("left", name)
      )
    )

    const uploads = new Map<number, { readonly name: string; readonly size: number; received: number }>()

    return Club.of({
      join: Effect.fnUntraced(function* (room) {
        if (!/^[a-z]{1,20}$/.test(room)) return { ok: false, problem: "no such room" } as const
        yield* socket.join(roomOf(room))
        yield* socket.to(roomOf(room)).emit("joined", [room, name])
        return { ok: true, members: yield* Effect.orDie(club.in(roomOf(room)).size) } as const
      }),

      mute: () => socket.join("muted"),

      say: ([room, text]) => club.to(roomOf(room)).except("muted").emit("said", [room, name, text]),

      // Everybody else in the room has half a second to vote.
      poll: ([room, question]) =>
        socket
          .to(roomOf(room))
          .emitWithAck("vote", question)
          .pipe(
            Stream.interruptWhen(Effect.sleep("500 millis")),
            Stream.filterMap(({ response }) => response),
            Stream.runCollect,
            Effect.map((votes) => ({
              yes: votes.filter(Boolean).length,
              no: votes.filter((vote) => !vote).length
            })),
            Effect.orDie
          ),

      check: Effect.fnUntraced(function* (who) {
        const other = (yield* Effect.orDie(club.fetchSockets)).find(({ data }) => data.name === who)
        if (other === undefined) return "not here"
        return yield* other.emitWithAck("still there").pipe(
          Effect.timeout("500 millis"),
          Effect.orElseSucceed(() => "silent")
        )
      }),

      upload: (file) =>
        Effect.sync(() => {
          const id = uploads.size + 1
          uploads.set(id, { ...file, received: 0 })
          return id
        }),

      chunk: Effect.fnUntraced(function* ([id, bytes]) {
        const upload = uploads.get(id)
        if (upload === undefined) return { ok: false, problem: "no such upload" } as const
        upload.received += bytes.length
        yield* socket.emit("progress", [id, upload.received / upload.size])
        if (upload.received >= upload.size) yield* socket.broadcast.emit("uploaded", [name, upload.name])
        return { ok: true, received: upload.received } as const
      })
    })
  })
)

// ---------------------------------------------------------------- a namespace for each board

const BoardsLive = SocketIoServer.layerDynamicNamespace(Board, ({ params }) =>
  Effect.succeed(
    Effect.fnUntraced(function* (socket) {
      const name = yield* UserName
      yield* socket.emit("board", params.id)
      return Board.of({ draw: ([x, y]) => socket.broadcast.emit("drawn", [name, x, y]) })
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
      response.json(members.map(({ data }) => data.name).toSorted())
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
