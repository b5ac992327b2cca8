import { createServer, type Server, type Socket } from "node:net"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"

import { handOver, prepare } from "./connection.ts"
import * as Frames from "./frames.ts"
import { answer } from "./greeting.ts"
import { decodeRequest, type RequestHead } from "./heads.ts"
import type { PassedExchange } from "./passedExchange.ts"

/** Takes the requests that other servers pass on. */
export interface Owner {
  readonly request: (
    head: RequestHead,
    id: number,
    writer: Frames.FrameWriter,
    add: (exchange: PassedExchange) => void,
    forget: () => void
  ) => void
  readonly upgrade: (head: RequestHead, socket: Socket, rest: Buffer) => void
  /** Moves a session, within some milliseconds. */
  readonly move: (sid: string, within: number) => void
}

/** The number of connections whose peers have not said yet who they are. */
const MAX_STRANGERS = 256

/** A server that only other servers can talk to. */
export interface Listener {
  readonly server: Server
  /** Requests are refused until there is an owner. */
  owner: Owner | undefined
}

/**
 * Listens for other servers until the scope closes. Connections end with the scope. Fails if it
 * cannot listen.
 */
export const listen = Effect.fnUntraced(function* (
  target: { readonly path: string } | { readonly host: string; readonly port: number },
  secret: string,
  greetingTimeout: Duration.Input
): Effect.fn.Return<Listener, Error, Scope.Scope> {
  const run = yield* FiberSet.makeRuntime<never>()
  const connections = new Set<Socket>()
  let strangers = 0
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  const listener: Listener = { server, owner: undefined }
  server.on("connection", (socket: Socket) => {
    prepare(socket)
    if (strangers >= MAX_STRANGERS) return void socket.destroy()
    strangers++
    connections.add(socket)
    socket.once("close", () => connections.delete(socket))
    run(
      answer(socket, secret).pipe(
        Effect.timeout(greetingTimeout),
        Effect.ensuring(Effect.sync(() => strangers--)),
        Effect.map(([kind, rest]) => {
          if (kind === "requests") serve(listener, socket, rest)
          else takeUpgrade(listener, socket, rest)
        }),
        Effect.catchCause(() => Effect.sync(() => socket.destroy()))
      )
    )
  })
  yield* Effect.acquireRelease(
    Effect.callback<void, Error>((resume) => {
      const onError = (cause: Error) => resume(Effect.fail(cause))
      server.once("error", onError)
      // Workers of Node's cluster module would share the port otherwise.
      server.listen({ ...target, backlog: 4_096, exclusive: true }, () => {
        server.off("error", onError)
        // A lack of file descriptors, for example. The next connection may succeed.
        server.on("error", () => {})
        resume(Effect.void)
      })
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const connection of connections) connection.destroy()
      })
  )
  return listener
})

/** Takes the requests of another server. Bytes that are no frames end the connection. */
const serve = (listener: Listener, socket: Socket, rest: Buffer): void => {
  const writer = new Frames.FrameWriter(socket)
  const exchanges = new Map<number, PassedExchange>()
  const reader = new Frames.FrameReader((type, id, payload) => {
    if (socket.destroyed) return
    if (type === Frames.PING) return writer.write(Frames.frame(Frames.PONG, id))
    if (type === Frames.MOVE) return listener.owner?.move(payload.toString(), id)
    if (type === Frames.REQUEST) {
      const head = decodeRequest(payload)
      if (head === undefined || exchanges.has(id)) return void socket.destroy()
      const add = (exchange: PassedExchange) => void exchanges.set(id, exchange)
      if (listener.owner === undefined) return writer.write(Frames.frame(Frames.RESET, id))
      return listener.owner.request(head, id, writer, add, () => exchanges.delete(id))
    }
    const exchange = exchanges.get(id)
    if (exchange === undefined) return
    if (type === Frames.BODY) exchange.onBodyPart(payload)
    else if (type === Frames.BODY_END) exchange.onBodyEnd()
    else if (type === Frames.RELEASE) exchange.release()
    else if (type === Frames.ABORT || type === Frames.GONE) {
      exchanges.delete(id)
      exchange.onOver()
    }
  })
  const onData = (chunk: Buffer) => {
    if (!reader.push(chunk)) socket.destroy()
  }
  socket
    .on("data", onData)
    .on("end", () => socket.destroy())
    .on("close", () => {
      const lost = Array.from(exchanges.values())
      exchanges.clear()
      for (const exchange of lost) exchange.onOver()
    })
  if (rest.length > 0) onData(rest)
  socket.resume()
}

/** The time for the head of an upgrade is that of the greeting: it is in the same packet. */
const takeUpgrade = (listener: Listener, socket: Socket, rest: Buffer): void => {
  let head: RequestHead | undefined
  let isWrong = false
  const reader = new Frames.FrameReader((type, _id, payload) => {
    if (type === Frames.REQUEST) head = decodeRequest(payload)
    isWrong = head === undefined
  })
  const onData = (chunk: Buffer) => {
    if (!reader.push(chunk, true) || isWrong) return void socket.destroy()
    if (head === undefined) return
    socket.off("data", onData).off("end", onEnd)
    socket.pause()
    handOver(socket)
    if (listener.owner === undefined) socket.destroy()
    else listener.owner.upgrade(head, socket, reader.remainder)
  }
  const onEnd = () => void socket.destroy()
  socket.on("data", onData).on("end", onEnd)
  if (rest.length > 0) onData(rest)
  if (head === undefined) socket.resume()
}
