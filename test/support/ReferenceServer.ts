/**
 * The test application on the official server: the oracle that the suites themselves are checked against.
 */
import { createServer } from "node:http"

import { type Namespace, Server, type Socket } from "socket.io"

import msgpackParser from "socket.io-msgpack-parser"

import { listening } from "./listening.ts"
import type { RunningServer, TestServerOptions } from "./TestServer.ts"

interface LogEntry {
  readonly sid: string
  readonly namespace: string
  readonly reason: string
}

const app = (namespace: Namespace, log: Array<LogEntry>) => {
  namespace.on("connection", (socket: Socket) => {
    socket.on("disconnect", (reason) => log.push({ sid: socket.id, namespace: namespace.name, reason }))
    socket.on("message", (...args) => socket.emit("message-back", ...args))
    socket.on("message-with-ack", (...args) => args.pop()(...args))
    socket.on("ask", (...args) =>
      socket.emit("question", ...args, (...acks: Array<unknown>) => {
        socket.emit("answered", ...acks)
      })
    )
    socket.on("join", (room, done) => {
      void socket.join(room)
      done()
    })
    socket.on("leave", (room, done) => {
      void socket.leave(room)
      done()
    })
    const broadcast = (event: string, send: (...args: Array<any>) => void) =>
      socket.on(event, (...args) => {
        const done = args.pop()
        send(...args)
        done()
      })
    broadcast("to-room", (room, ...args) => socket.to(room).emit("room-message", ...args))
    broadcast("in-room", (room, ...args) => namespace.to(room).emit("room-message", ...args))
    broadcast("to-room-except", (room, except, ...args) =>
      namespace
        .to(room)
        .except(except)
        .emit("room-message", ...args)
    )
    broadcast("broadcast", (...args) => socket.broadcast.emit("broadcasted", ...args))
    broadcast("everyone", (...args) => namespace.emit("broadcasted", ...args))
    socket.on("rooms", (done) =>
      done(
        Array.from(socket.rooms)
          .filter((room) => room !== socket.id)
          .toSorted()
      )
    )
    socket.on("burst", (count) => {
      for (let i = 0; i < count; i++) socket.emit("burst-item", i)
    })
    socket.on("whoami", (done) => done(socket.id))
    socket.on("transport", (done) => done(socket.conn.transport.name))
    socket.on("handshake", (done) => done({ headers: socket.handshake.headers, address: socket.handshake.address }))
    socket.on("process", (done) => done(process.pid))
    socket.on("bye", (close) => socket.disconnect(close))
    socket.on("boom", () => {})
    socket.on("log", (done) => done(log.filter((entry) => entry.sid !== socket.id)))
    socket.emit("auth", socket.handshake.auth)
  })
}

/** Runs the application until it is stopped. */
export const start = async (options: TestServerOptions = {}): Promise<RunningServer> => {
  const {
    attachmentTimeout: _,
    cors,
    drainTimeout: __,
    maxPayload,
    page,
    port = 0,
    parser,
    transports,
    ...rest
  } = options
  const http = createServer(page)
  const io = new Server(http, {
    serveClient: false,
    ...rest,
    ...(parser === "msgpack" ? { parser: msgpackParser } : {}),
    ...(maxPayload === undefined ? {} : { maxHttpBufferSize: maxPayload }),
    ...(transports === undefined ? {} : { transports: [...transports] }),
    ...(cors === undefined ? {} : { cors: cors as { origin: string } })
  })
  const log: Array<LogEntry> = []
  app(io.of("/"), log)
  app(io.of("/custom"), log)
  const guarded = io.of("/auth")
  guarded.use((socket, next) => {
    if (socket.handshake.auth.token === "secret") return next()
    next(Object.assign(new Error("not authorized"), { data: { code: 401, need: "token" } }))
  })
  app(guarded, log)
  return {
    ...(await listening(http, port)),
    stop: async () => {
      http.closeAllConnections()
      await io.close()
    }
  }
}
