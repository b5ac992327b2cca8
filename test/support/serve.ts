/**
 * Namespaces on a real port, and official clients that talk to them, for the lifetime of a test.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Context, type Duration, Effect, Exit, Layer, Logger, References, Scope } from "effect"
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client"

import { NamespaceGrace } from "../../src/internal/namespaceGrace.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { SocketIoServer } from "../../src/server/SocketIoServer.ts"
import { within } from "./RawClient.ts"

/** Listens on a free port, until the scope closes. */
export const listen = (server: Http.Server): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<string>((resume) => {
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
      )
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )

export interface Serving {
  readonly url: string
  readonly server: Context.Context<SocketIoServer>
  /** Everything that was logged at the levels of interest. */
  readonly logs: ReadonlyArray<string>
}

/** Sets how long clients of a server wait for a namespace that is not served yet. */
export const grace = (time: Duration.Input) => Layer.provide(Layer.succeed(NamespaceGrace, time))

/** Serves namespaces, with the logs in hand. Names that are not served are refused at once, without a `namespaceGrace`. */
export const serve = Effect.fnUntraced(function* <E>(
  namespaces: Layer.Layer<never, E, SocketIoServer>,
  { namespaceGrace = 0, ...options }: NodeSocketIoServer.NodeOptions & { readonly namespaceGrace?: Duration.Input } = {}
) {
  const logs: Array<string> = []
  const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
    const { subsystem } = fiber.getRef(References.CurrentLogAnnotations)
    const from = typeof subsystem === "string" ? `[${subsystem}] ` : ""
    const text = [message].flat().map(String).join(" ")
    logs.push(`${logLevel} ${from}${text}${cause.reasons.length > 0 ? ` ${String(cause)}` : ""}`)
  })
  const http = Http.createServer((_request, response) => response.writeHead(404).end())
  const url = yield* listen(http)
  const server = yield* Layer.build(
    namespaces.pipe(
      Layer.provideMerge(NodeSocketIoServer.layerAttached(http, { drainTimeout: "2 seconds", ...options })),
      grace(namespaceGrace),
      Layer.provide(Logger.layer([logger]))
    )
  )
  return { url, server: Context.pick(SocketIoServer)(server), logs } as Serving
})

/** Builds a layer on a server that is there already, in a scope of its own; gives what closes it. */
export const open = Effect.fnUntraced(function* <E>(
  server: Context.Context<SocketIoServer>,
  layer: Layer.Layer<never, E, SocketIoServer>
) {
  const scope = yield* Scope.make()
  yield* Layer.buildWithScope(Layer.fresh(Layer.provide(layer, Layer.succeedContext(server))), scope)
  return Scope.close(scope, Exit.void)
})

type Options = Partial<ManagerOptions & SocketOptions>

/** An official client that is not connected yet. */
export const client = (url: string, options: Options = {}): Effect.Effect<Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => io(url, { forceNew: true, reconnection: false, autoConnect: false, ...options })),
    (socket) => Effect.sync(() => socket.disconnect())
  )

/** An official client that is connected. Listeners for what comes right after the connection are added by `prepare`. */
export const connect = Effect.fnUntraced(function* (
  url: string,
  options: Options = {},
  prepare: (socket: Socket) => void = () => {}
) {
  const socket = yield* client(url, options)
  prepare(socket)
  yield* Effect.promise(() =>
    within(
      `connection to ${url}`,
      new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve)
        socket.once("connect_error", reject)
        socket.connect()
      })
    )
  )
  return socket
})

/** The error with which an official client is refused. */
export const refusal = Effect.fnUntraced(function* (url: string, options: Options = {}) {
  const socket = yield* client(url, options)
  return yield* Effect.promise(() =>
    within(
      `refusal by ${url}`,
      new Promise<Error & { readonly data?: unknown }>((resolve, reject) => {
        socket.once("connect_error", resolve)
        socket.once("connect", () => reject(new Error("connected")))
        socket.connect()
      })
    )
  )
})

/** How an official client's attempt to connect ends: whether it is let in, refused, or loses its connection. */
export const attempt = (socket: Socket): Effect.Effect<string> => {
  const ended = new Promise<string>((resolve) => {
    socket.once("connect", () => resolve("connected"))
    socket.once("connect_error", (error) => resolve(`refused: ${error.message}`))
    socket.io.once("close", (reason) => resolve(`lost: ${reason}`))
  })
  socket.connect()
  return Effect.promise(() => within("end of an attempt to connect", ended))
}

/** The arguments of the next event. It listens from now on. */
export const next = (socket: Socket, event: string): Effect.Effect<ReadonlyArray<any>> => {
  const arrived = within(
    `event ${event}`,
    new Promise<ReadonlyArray<any>>((resolve) => socket.once(event, (...args: Array<any>) => resolve(args)))
  )
  arrived.catch(() => {})
  return Effect.promise(() => arrived)
}

/** Emits an event and waits for its acknowledgement's first argument. */
export const call = (socket: Socket, event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<any> =>
  Effect.promise(() => socket.timeout(10_000).emitWithAck(event, ...args))
