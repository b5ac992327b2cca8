/**
 * The official server with its defaults: the same application as `target.ts`.
 */
import * as Http from "node:http"
import { Server } from "socket.io"

import { serveUsage, settings } from "./usage.ts"

const { pingInterval, pingTimeout, port } = settings

const http = Http.createServer()
const io = new Server(http, { pingInterval, pingTimeout })

io.on("connection", (socket) => {
  socket.on("echo", (...args) => {
    socket.emit("echo", ...args)
  })
  socket.on("ack", (message, answer) => answer(message))
  socket.on("join", (room, answer) => {
    void socket.join(room)
    answer?.()
  })
  socket.on("leave", (room, answer) => {
    void socket.leave(room)
    answer?.()
  })
  socket.on("fire", (room, count, payload) => {
    for (let i = 0; i < count; i++) io.to(room).emit("cast", payload)
  })
  socket.on("churn", (rooms, rounds, answer) => {
    let operations = 0
    for (let round = 0; round < rounds; round++) {
      for (const member of io.of("/").sockets.values()) {
        for (let i = 0; i < rooms; i++, operations++) void member.join(`churn${i}`)
      }
      for (const member of io.of("/").sockets.values()) {
        for (let i = 0; i < rooms; i++, operations++) void member.leave(`churn${i}`)
      }
    }
    answer(operations)
  })
})

http.listen(port, "127.0.0.1")
serveUsage()
