/**
 * The test application on our server: namespaces and options, for any edge and any runtime. The same application on the official server
 * is in ReferenceServer.ts.
 */
import { Effect, Layer, Logger, References } from "effect"

import { NamespaceGrace } from "../../src/internal/namespaceGrace.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import { Parser } from "../../src/Parser.ts"
import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { json } from "../../src/protocol/PacketParser.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import * as ServerSocket from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

export interface ApplicationOptions {
  readonly pingInterval?: number
  readonly pingTimeout?: number
  readonly maxPayload?: number
  readonly connectTimeout?: number
  readonly upgradeTimeout?: number
  readonly attachmentTimeout?: number
  readonly maxOutbox?: number
  readonly outboxOverflow?: "disconnect" | "dropNewest" | "dropOldest" | "suspend"
  readonly maxPendingBytes?: number
  readonly maxPendingEvents?: number
  readonly maxConnections?: number
  readonly maxConnectionsPerAddress?: number
  readonly pauseAt?: number
  /** The time that the decision on a handshake takes, in milliseconds. Default: none is asked for. */
  readonly decisionTime?: number
  readonly drainTimeout?: number
  readonly transports?: ReadonlyArray<"polling" | "websocket">
  readonly allowEIO3?: boolean
  /** Default: JSON. */
  readonly parser?: "json" | "msgpack"
  readonly cors?: { readonly origin: string | true | ReadonlyArray<string>; readonly credentials?: boolean }
}

interface LogEntry {
  readonly sid: string
  readonly namespace: string
  readonly reason: string
}

class TokenRequired extends NamespaceMiddleware.Service<TokenRequired>()("test/TokenRequired", {}) {}

const TokenRequiredLive = Layer.succeed(TokenRequired, ({ handshake }) =>
  handshake.auth.token === "secret"
    ? Effect.void
    : Effect.fail(
        new NamespaceMiddleware.ConnectRefused({ message: "not authorized", data: { code: 401, need: "token" } })
      )
)

class Guarded extends Namespace.make("/auth").middleware(TokenRequired) {}

const app = (name: string, log: Array<LogEntry>) =>
  Effect.fnUntraced(function* (socket: ServerSocket.ServerSocket<Namespace.Untyped>) {
    const all = yield* SocketIoServer.namespace(name)
    yield* Effect.forkScoped(
      Effect.map(socket.disconnected, (reason) => log.push({ sid: socket.id, namespace: socket.namespace, reason })),
      { startImmediately: true, uninterruptible: true }
    )
    yield* socket.on("message", (...args) => socket.emit("message-back", ...args))
    yield* socket.on("message-with-ack", (...args) => Effect.succeed(ServerSocket.ackArguments(...args)))
    yield* socket.on("ask", (...args) =>
      Effect.flatMap(socket.emitWithAck("question", ...args), (answer) => socket.emit("answered", ...answer))
    )
    yield* socket.on("join", (room) => socket.join(room as string))
    yield* socket.on("leave", (room) => socket.leave(room as string))
    yield* socket.on("to-room", (room, ...args) => socket.to(room as string).emit("room-message", ...args))
    yield* socket.on("in-room", (room, ...args) => all.to(room as string).emit("room-message", ...args))
    yield* socket.on("to-room-except", (room, except, ...args) =>
      all
        .to(room as string)
        .except(except as string)
        .emit("room-message", ...args)
    )
    yield* socket.on("broadcast", (...args) => socket.broadcast.emit("broadcasted", ...args))
    yield* socket.on("everyone", (...args) => all.emit("broadcasted", ...args))
    yield* socket.on("rooms", () =>
      Effect.sync(() =>
        Array.from(socket.rooms)
          .filter((room) => room !== socket.id)
          .toSorted()
      )
    )
    yield* socket.on("burst", (count) =>
      Effect.forEach(
        Array.from({ length: Number(count) }, (_, i) => i),
        (i) => socket.emit("burst-item", i),
        { discard: true }
      )
    )
    // It never ends.
    yield* socket.on("stuck", () => Effect.never)
    yield* socket.on("pausing", () => Effect.sleep("20 millis"))
    yield* socket.on("large-to-room", (room, size) => all.to(room as string).emit("large", "x".repeat(Number(size))))
    yield* socket.on("whoami", () => Effect.succeed(socket.id))
    yield* socket.on("transport", () => Effect.sync(() => socket.transport))
    yield* socket.on("handshake", () =>
      Effect.sync(() => ({ headers: socket.handshake.headers, address: socket.handshake.address }))
    )
    yield* socket.on("runtime", () =>
      Effect.sync(() => {
        const { bun, deno, node } = process.versions
        return bun !== undefined ? `bun ${bun}` : deno !== undefined ? `deno ${deno}` : `node ${node}`
      })
    )
    yield* socket.on("process", () => Effect.succeed(process.pid))
    yield* socket.on("bye", (close) => socket.disconnect({ close: close === true }))
    yield* socket.on("boom", () => Effect.die(new Error("boom")))
    yield* socket.on("log", () => Effect.sync(() => log.filter((entry) => entry.sid !== socket.id)))
    yield* socket.emit("auth", socket.handshake.auth)
  })

/** The settings that are given. */
const given = <A extends object>(settings: A) =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as {
    readonly [K in keyof A]?: NonNullable<A[K]>
  }

/** The options of the server below the application. */
export const serverOptions = (options: ApplicationOptions): ServerOptions => {
  const { allowEIO3, attachmentTimeout, connectTimeout, cors, drainTimeout = "2 seconds", maxPayload } = options
  const { maxConnections, maxConnectionsPerAddress, maxOutbox, maxPendingBytes, maxPendingEvents } = options
  const { decisionTime, outboxOverflow, pauseAt, pingInterval, pingTimeout, transports, upgradeTimeout } = options
  return {
    drainTimeout,
    heartbeat: given({ pingInterval, pingTimeout }),
    limits: given({
      maxPayload,
      connectTimeout,
      attachmentTimeout,
      maxOutbox,
      outboxOverflow,
      maxPendingBytes,
      maxPendingEvents,
      maxConnections,
      maxConnectionsPerAddress
    }),
    reading: given({ pauseAt }),
    ...(decisionTime === undefined ? {} : { handshake: { allowRequest: () => Effect.sleep(decisionTime) } }),
    upgrade: given({ timeout: upgradeTimeout }),
    ...given({ transports, allowEIO3, cors })
  }
}

/** The application on the server of an edge, with the logger of the test. */
export const layer = <E>(
  server: Layer.Layer<SocketIoServer.SocketIoServer, E>,
  { parser = "json" }: ApplicationOptions,
  logger?: Logger.Logger<unknown, void>
): Layer.Layer<never, E> => {
  const log: Array<LogEntry> = []
  return Layer.mergeAll(
    SocketIoServer.layerNamespace("/", app("/", log)),
    SocketIoServer.layerNamespace("/custom", app("/custom", log)),
    SocketIoServer.layerNamespace(Guarded, (socket) => app("/auth", log)(socket.untyped).pipe(Effect.as({})))
  ).pipe(
    Layer.provide(TokenRequiredLive),
    Layer.provide(server),
    Layer.provide(Layer.succeed(NamespaceGrace, 0)),
    Layer.provide(Layer.succeed(Parser, parser === "json" ? json : msgpack)),
    Layer.provide(Logger.layer(logger === undefined ? [] : [logger])),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, logger === undefined ? "None" : "Info"))
  )
}
