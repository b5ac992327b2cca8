/**
 * A club on Express and the official server: the program that is ported in `step-1.ts` and
 * `step-2.ts`. The guide `socket-io.md` goes through the steps.
 *
 *     npx node examples/migration/official.ts
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import express from "express"
import { Server, type Socket } from "socket.io"

const users = new Map([
  ["ada-token", "Ada"],
  ["bob-token", "Bob"],
  ["eve-token", "Eve"]
])

const app = express()
const http = createServer(app)
const io = new Server(http)

// ---------------------------------------------------------------- authentication

const authenticate = (socket: Socket, next: (error?: Error) => void) => {
  const name = users.get(socket.handshake.auth.token)
  if (name === undefined) return next(Object.assign(new Error("not authorized"), { data: { code: 401 } }))
  socket.data.name = name
  next()
}

io.use(authenticate)

// ---------------------------------------------------------------- the club

const roomOf = (name: string) => `room:${name}`

/** How often each event came, of all sockets. */
const counts = new Map<string, number>()

io.on("connection", (socket) => {
  const name: string = socket.data.name
  socket.emit("welcome", name)

  socket.onAny((event) => counts.set(event, (counts.get(event) ?? 0) + 1))

  socket.on("join", async (room, answer) => {
    if (!/^[a-z]{1,20}$/.test(room)) return answer({ ok: false, problem: "no such room" })
    await socket.join(roomOf(room))
    socket.to(roomOf(room)).emit("joined", room, name)
    answer({
      ok: true,
      members: await io
        .in(roomOf(room))
        .fetchSockets()
        .then((sockets) => sockets.length)
    })
  })

  socket.on("mute", () => socket.join("muted"))

  socket.on("say", (room, text) => {
    io.to(roomOf(room)).except("muted").emit("said", room, name, text)
  })

  // Everybody else in the room has half a second to vote.
  socket.on("poll", (room, question, answer) => {
    socket
      .to(roomOf(room))
      .timeout(500)
      .emit("vote", question, (_error: Error | null, votes: ReadonlyArray<boolean>) => {
        answer({ yes: votes.filter(Boolean).length, no: votes.filter((vote) => !vote).length })
      })
  })

  socket.on("check", async (who, answer) => {
    const other = (await io.fetchSockets()).find(({ data }) => data.name === who)
    if (other === undefined) return answer("not here")
    answer(
      await other
        .timeout(500)
        .emitWithAck("still there")
        .catch(() => "silent")
    )
  })

  const uploads = new Map<number, { readonly name: string; readonly size: number; received: number }>()

  socket.on("upload", (file, answer) => {
    const id = uploads.size + 1
    uploads.set(id, { ...file, received: 0 })
    answer(id)
  })

  socket.on("chunk", (id, bytes, answer) => {
    const upload = uploads.get(id)
    if (upload === undefined) return answer({ ok: false, problem: "no such upload" })
    upload.received += bytes.length
    socket.emit("progress", id, upload.received / upload.size)
    if (upload.received >= upload.size) socket.broadcast.emit("uploaded", name, upload.name)
    answer({ ok: true, received: upload.received })
  })

  socket.on("disconnecting", () => {
    for (const room of socket.rooms) {
      if (room !== socket.id) socket.to(room).emit("left", name)
    }
  })
})

// ---------------------------------------------------------------- a namespace for each board

const boards = io.of(/^\/board-\d+$/)
boards.use(authenticate)
boards.on("connection", (socket) => {
  socket.emit("board", Number(socket.nsp.name.slice("/board-".length)))
  socket.on("draw", (x, y) => socket.broadcast.emit("drawn", socket.data.name, x, y))
})

// ---------------------------------------------------------------- routes

app.get("/rooms/:room", async (request, response) => {
  const members = await io.in(roomOf(request.params.room)).fetchSockets()
  response.json(members.map(({ data }) => data.name).toSorted())
})

app.get("/counts", (_request, response) => {
  response.json(Object.fromEntries(counts))
})

http.listen(Number(process.env.PORT ?? 3000), () =>
  console.log(`listening on http://localhost:${(http.address() as AddressInfo).port}`)
)
