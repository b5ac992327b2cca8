/**
 * Clients of the desk of which a test says every packet.
 */
import { Effect, Layer, type Scope, Stream } from "effect"

import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { type CurrentUser, Desk, type DeskSocket, makeDesk, type Token, token } from "./desk.ts"

/** Lets everything arrive. */
export const settle: Effect.Effect<void> = Effect.gen(function* () {
  for (let i = 0; i < 50; i++) yield* Effect.yieldNow
})

export const world = Effect.fnUntraced(function* (
  options: ServerOptions = {},
  build?: (socket: DeskSocket) => Effect.Effect<unknown, never, CurrentUser | Scope.Scope>
) {
  const { layer, ...desk } = yield* makeDesk(build)
  const other = SocketIoServer.layerNamespace("/other", () => Effect.void)
  const context = yield* Layer.build(
    Layer.merge(layer, other).pipe(
      // Without pings: the tests let minutes pass at once.
      Layer.provideMerge(TestSocketIo.layer({ heartbeat: { pingInterval: "10 days" }, ...options }))
    )
  )
  const namespace = yield* Effect.provideContext(SocketIoServer.namespace(Desk), context)
  /** A connection. */
  const connection = (isOurs = false) =>
    Effect.gen(function* () {
      const peer = yield* TestSocketIo.rawClient(isOurs ? { query: { fx: "1" } } : {})
      yield* peer.receive
      const receive = Effect.map(Effect.orDie(peer.receive), String)
      /** The next packet of the namespace. */
      const next: Effect.Effect<string> = Effect.flatMap(receive, (packet) =>
        packet === "2" ? Effect.andThen(peer.send("3"), next) : Effect.succeed(packet)
      )
      /** The packets that have come, without pings. */
      const received = Effect.andThen(
        settle,
        Effect.map(peer.received, (packets) => packets.map(String).filter((packet) => packet !== "2"))
      )
      let id = 0
      /** Sends an event, and gives the id of its acknowledgement. */
      const ask = (...data: ReadonlyArray<unknown>) => {
        const own = id++
        return Effect.as(peer.send(`42/desk,${own}${JSON.stringify(data)}`), own)
      }
      const answer = Effect.fnUntraced(function* (...data: ReadonlyArray<unknown>) {
        const own = yield* ask(...data)
        const packet = yield* next
        const prefix = `43/desk,${own}`
        if (!packet.startsWith(prefix)) throw new Error(`${packet} is no answer to ${own}`)
        return JSON.parse(packet.slice(prefix.length))[0] as any
      })
      return {
        ...peer,
        next,
        received,
        /** Whether the server has closed the connection. */
        isClosed: Effect.gen(function* () {
          const closed = yield* Effect.forkChild(peer.closed, { startImmediately: true })
          yield* settle
          return closed.pollUnsafe() !== undefined
        }),
        ask,
        answer,
        refresh: (claims: Token) => answer("auth", { token: token(claims) }),
        connect: (claims: Token, more: object = {}) =>
          Effect.flatMap(peer.send(`40/desk,${JSON.stringify({ token: token(claims), ...more })}`), () =>
            Effect.map(next, (packet) => ({
              isError: packet.startsWith("44"),
              ...JSON.parse(packet.slice(packet.indexOf("{")))
            }))
          )
      }
    }).pipe(Effect.orDie, Effect.provideContext(context))
  /** A client that is admitted, and its socket. */
  const join = Effect.fnUntraced(function* (claims: Token, isOurs = false) {
    const peer = yield* connection(isOurs)
    const connected = yield* peer.connect(claims)
    return { peer, connected, socket: yield* desk.next }
  })
  /** The sessions that have ended, with the reasons. */
  const ends: Array<readonly [sid: string, reason: string]> = []
  yield* Effect.forkScoped(
    Stream.runForEach(namespace.sessionEnds(), ({ reason, sid }) => Effect.sync(() => ends.push([sid, reason]))),
    { startImmediately: true }
  )
  return { ...desk, namespace, connection, join, context, ends }
})
