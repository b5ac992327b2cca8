/**
 * Servers that recover connections: the official one and this library's, with the same application.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Context, Effect, Exit, Layer, Logger, Scope, Stream } from "effect"
import { Server, type ServerOptions } from "socket.io"

import { ackArguments } from "../../src/AckArguments.ts"
import type { ClusterStatus } from "../../src/adapter/ClusterStatus.ts"
import type { Untyped } from "../../src/Namespace.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import type { BroadcastOperator } from "../../src/server/BroadcastOperator.ts"
import type { RecoveryOptions } from "../../src/server/RecoveryOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

export type Kind = "official" | "ours"

export const kinds: ReadonlyArray<Kind> = ["official", "ours"]

/** The recipients of an event: all, if there are no rooms. An id of a socket is a room. */
export interface Recipients {
  readonly to?: ReadonlyArray<string>
  readonly except?: ReadonlyArray<string>
  readonly volatile?: boolean
}

export interface SubjectOptions {
  /** The longest outage, in milliseconds. Default: a minute. */
  readonly maxDisconnection?: number
  /** Both in milliseconds. Default: 25 and 20 seconds. */
  readonly pingInterval?: number
  readonly pingTimeout?: number
  /** These of this library alone. */
  readonly recovery?: RecoveryOptions
  /** What the builder waits for before it joins rooms. */
  readonly load?: Effect.Effect<void>
  readonly adapter?: Layer.Layer<ClusterStatus, unknown>
}

/**
 * A server. Its application puts a socket that is not recovered into the rooms of its `auth.rooms`; `join` and `leave` of a client take
 * the name of a room, and are answered. It refuses those that are banned.
 */
export interface Subject {
  readonly kind: Kind
  readonly port: number
  readonly url: string
  /** The sockets that have connected, and their ends, in their order. */
  readonly arrivals: ReadonlyArray<{ readonly id: string; readonly recovered: boolean }>
  readonly departures: ReadonlyArray<{ readonly id: string; readonly reason: string }>
  /** The sessions that have ended. Only of this library. */
  readonly sessionEnds: ReadonlyArray<{ readonly sid: string; readonly reason: string }>
  isBanning: boolean
  emit(to: Recipients, event: string, ...args: ReadonlyArray<unknown>): Promise<void>
  /** Asks all clients, and does not wait for the answers. */
  ask(event: string, ...args: ReadonlyArray<unknown>): Promise<void>
  /** Sends an event by the socket itself. */
  direct(id: string, event: string, ...args: ReadonlyArray<unknown>): Promise<void>
  /** Asks one client; gives its answer, or `undefined` if it is gone before it answers. */
  question(id: string, event: string, ...args: ReadonlyArray<unknown>): Promise<unknown>
  join(of: string, room: string): Promise<void>
  leave(of: string, room: string): Promise<void>
  kick(of: string): Promise<void>
  stop(): Promise<void>
}

const listen = (http: Http.Server): Promise<number> =>
  new Promise((resolve) => {
    http.listen(0, "127.0.0.1", () => resolve((http.address() as AddressInfo).port))
  })

export interface OfficialServer {
  readonly io: Server
  readonly http: Http.Server
  readonly port: number
  readonly url: string
  readonly close: () => Promise<void>
}

/** An official server on a free port. */
export const startOfficial = async (options: Partial<ServerOptions>): Promise<OfficialServer> => {
  const http = Http.createServer()
  const io = new Server(http, { serveClient: false, ...options })
  const port = await listen(http)
  const close = async () => {
    http.closeAllConnections()
    await io.close()
  }
  return { io, http, port, url: `http://127.0.0.1:${port}`, close }
}

const official = async ({
  maxDisconnection = 60_000,
  pingInterval = 25_000,
  pingTimeout = 20_000
}: SubjectOptions): Promise<Subject> => {
  const connectionStateRecovery = { maxDisconnectionDuration: maxDisconnection, skipMiddlewares: false }
  const { close, io, port, url } = await startOfficial({ connectionStateRecovery, pingInterval, pingTimeout })
  const arrivals: Array<{ readonly id: string; readonly recovered: boolean }> = []
  const departures: Array<{ readonly id: string; readonly reason: string }> = []
  const subject = {
    kind: "official" as const,
    port,
    url,
    arrivals,
    departures,
    sessionEnds: [],
    isBanning: false,
    emit: async ({ except = [], to = [], volatile = false }: Recipients, event: string, ...args: Array<unknown>) => {
      const target = io.to([...to]).except([...except])
      ;(volatile ? target.volatile : target).emit(event, ...args)
    },
    ask: async (event: string, ...args: Array<unknown>) => {
      io.timeout(2_000).emit(event, ...args, () => {})
    },
    direct: async (id: string, event: string, ...args: Array<unknown>) =>
      void io
        .of("/")
        .sockets.get(id)
        ?.emit(event, ...args),
    question: (id: string, event: string, ...args: Array<unknown>) =>
      io
        .of("/")
        .sockets.get(id)!
        .timeout(1_000)
        .emitWithAck(event, ...args)
        .catch(() => undefined),
    join: async (of: string, room: string) => void io.in(of).socketsJoin(room),
    leave: async (of: string, room: string) => void io.in(of).socketsLeave(room),
    kick: async (of: string) => void io.in(of).disconnectSockets(),
    stop: close
  }
  io.use((_, next) => next(subject.isBanning ? new Error("banned") : undefined))
  io.on("connection", (socket) => {
    const { id, recovered } = socket
    arrivals.push({ id, recovered })
    socket.on("disconnect", (reason) => departures.push({ id, reason }))
    socket.on("join", (room: string, done) => {
      void socket.join(room)
      done()
    })
    socket.on("leave", (room: string, done) => {
      void socket.leave(room)
      done()
    })
    if (!recovered) void socket.join(socket.handshake.auth["rooms"] ?? [])
  })
  return subject
}

class Bans extends NamespaceMiddleware.Service<Bans>()("test/Bans") {}

const Main = Namespace.untyped("/").middleware(Bans)

const ours = async ({
  adapter,
  load = Effect.void,
  maxDisconnection = 60_000,
  pingInterval = 25_000,
  pingTimeout = 20_000,
  recovery
}: SubjectOptions): Promise<Subject> => {
  const scope = Scope.makeUnsafe()
  const http = Http.createServer()
  const arrivals: Array<{ readonly id: string; readonly recovered: boolean }> = []
  const departures: Array<{ readonly id: string; readonly reason: string }> = []
  let isBanning = false
  const application = SocketIoServer.layerNamespace(
    Main,
    Effect.fnUntraced(function* (socket) {
      const { id, recovered } = socket
      arrivals.push({ id, recovered })
      yield* Effect.forkScoped(
        Effect.map(socket.disconnected, (reason) => departures.push({ id, reason })),
        { startImmediately: true, uninterruptible: true }
      )
      yield* socket.on("join", (room) => Effect.as(socket.join(room as string), ackArguments()))
      yield* socket.on("leave", (room) => Effect.as(socket.leave(room as string), ackArguments()))
      yield* load
      const { rooms } = (socket.auth ?? {}) as { readonly rooms?: ReadonlyArray<string> }
      if (!recovered && rooms !== undefined) yield* socket.join(rooms)
    })
  ).pipe(
    Layer.provide(
      Layer.succeed(Bans, () =>
        Effect.suspend(() =>
          isBanning ? Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "banned" })) : Effect.void
        )
      )
    )
  )
  const context = await Effect.runPromise(
    Layer.buildWithScope(
      application.pipe(
        Layer.provideMerge(
          NodeSocketIoServer.layerAttached(http, {
            recovery: { maxDisconnection, ...recovery },
            heartbeat: { pingInterval, pingTimeout },
            drainTimeout: "1 second"
          })
        ),
        Layer.provide(adapter ?? Layer.empty),
        Layer.provide(Logger.layer([]))
      ),
      scope
    )
  )
  const port = await listen(http)
  const run = Effect.runPromiseWith(Context.pick(SocketIoServer.SocketIoServer)(context))
  const handle = await run(SocketIoServer.namespace("/"))
  const sessionEnds: Array<{ readonly sid: string; readonly reason: string }> = []
  void run(
    Stream.runForEach(handle.sessionEnds(), (end) => Effect.sync(() => sessionEnds.push(end))).pipe(Effect.ignore)
  )
  const target = ({ except = [], to = [], volatile = false }: Recipients): BroadcastOperator<Untyped> => {
    let operator = handle.all
    if (to.length > 0) operator = operator.to(to)
    if (except.length > 0) operator = operator.except(except)
    return volatile ? operator.volatile : operator
  }
  return {
    kind: "ours",
    port,
    url: `http://127.0.0.1:${port}`,
    arrivals,
    departures,
    sessionEnds,
    get isBanning() {
      return isBanning
    },
    set isBanning(value) {
      isBanning = value
    },
    emit: (to, event, ...args) => run(target(to).emit(event, ...args)),
    ask: async (event, ...args) => {
      void run(Effect.ignore(Effect.timeout(Stream.runDrain(handle.emitWithAck(event, ...args)), "2 seconds")))
    },
    direct: (id, event, ...args) =>
      run(
        Effect.flatMap(handle.socket(id), (socket) =>
          socket._tag === "Some" ? socket.value.emit(event, ...args) : Effect.void
        )
      ),
    question: (id, event, ...args) =>
      run(
        Effect.flatMap(handle.socket(id), (socket) =>
          socket._tag === "Some" ? socket.value.emitWithAck(event, ...args) : Effect.undefined
        ).pipe(
          Effect.timeout("1 second"),
          Effect.map((answer) => (Array.isArray(answer) ? answer[0] : answer)),
          Effect.catch(() => Effect.undefined)
        )
      ),
    join: (of, room) => run(handle.to(of).socketsJoin(room)),
    leave: (of, room) => run(handle.to(of).socketsLeave(room)),
    kick: (of) => run(handle.to(of).disconnectSockets()),
    stop: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      const closed = new Promise<void>((resolve) => http.close(() => resolve()))
      http.closeAllConnections()
      await closed
    }
  }
}

/** A server that recovers connections, on a free port. */
export const startSubject = (kind: Kind, options: SubjectOptions = {}): Promise<Subject> =>
  (kind === "official" ? official : ours)(options)
