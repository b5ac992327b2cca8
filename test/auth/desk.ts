/**
 * A namespace whose clients have tokens that end. A token says itself what its middleware has to do.
 */
import { Context, DateTime, Deferred, Effect, Layer, Queue, Schema, type Scope } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

export interface User {
  readonly name: string
  readonly rooms: ReadonlyArray<string>
}

/** The content of a token. Times are in milliseconds. */
export interface Token {
  readonly name: string
  readonly rooms?: ReadonlyArray<string>
  /** The end as a time, or as a duration. */
  readonly at?: number
  readonly in?: number
  readonly notice?: number
  readonly then?: "reconnect" | "leave"
  /** How long the middleware takes. */
  readonly takes?: number
  readonly dies?: boolean
}

export const token = (claims: Token): string => JSON.stringify(claims)

export class CurrentUser extends Context.Service<CurrentUser, User>()("test/CurrentUser") {}

export class Suspended extends Schema.TaggedError<Suspended>()("Suspended", { until: Schema.Int }) {}

export class Authentication extends NamespaceMiddleware.Service<Authentication>()("test/Authentication", {
  provides: CurrentUser,
  auth: Schema.Struct({ token: Schema.String }),
  error: Suspended,
  refresh: { event: "auth", same: (before, now) => before.name === now.name, rateLimit: { limit: 1, burst: 5 } }
}) {}

/** How often the middleware has run, and how many finalizers of its runs are waiting. */
export const runs = { count: 0, open: 0 }

export const AuthenticationLive = Layer.succeed(Authentication, ({ auth, expires }) =>
  Effect.gen(function* () {
    const claims = JSON.parse(auth.token) as Token
    runs.count++
    yield* Effect.acquireRelease(
      Effect.sync(() => runs.open++),
      () => Effect.sync(() => runs.open--)
    )
    if (claims.takes !== undefined) yield* Effect.sleep(claims.takes)
    if (claims.dies) return yield* Effect.die(new Error("broken"))
    if (claims.name === "nobody") return yield* new NamespaceMiddleware.ConnectRefused({ message: "who?" })
    if (claims.name === "suspended") return yield* new Suspended({ until: 7 })
    const { at, notice, then = "reconnect" } = claims
    const options = { then, ...(notice !== undefined && { notice }) }
    if (at !== undefined) yield* expires(DateTime.makeUnsafe(at), options)
    if (claims.in !== undefined) yield* expires({ milliseconds: claims.in }, options)
    return { name: claims.name, rooms: claims.rooms ?? [] }
  })
)

export const Whoami = Event.make("whoami", { ack: Schema.String })

export const Slow = Event.make("slow", { ack: Schema.Array(Schema.String) })

/** Its handlers run one after another. */
export const Turn = Event.make("turn", { ack: Schema.String, concurrency: 1 })

export const News = Event.make("news", { payload: Schema.String })

export class Desk extends Namespace.make("/desk", {
  clientToServer: [Whoami, Slow, Turn],
  serverToClient: [News]
}).middleware(Authentication) {}

export type DeskSocket = ServerSocket<typeof Desk>

/** The namespace, with its sockets, and what its handlers of refreshes were told. */
export const makeDesk = Effect.fnUntraced(function* (
  build: (socket: DeskSocket) => Effect.Effect<unknown, never, CurrentUser | Scope.Scope> = () => Effect.void
) {
  const sockets = yield* Queue.unbounded<DeskSocket>()
  const told: Array<User> = []
  const gate = yield* Deferred.make<void>()
  const layer = SocketIoServer.layerNamespace(Desk, (socket) =>
    Effect.gen(function* () {
      const user = yield* CurrentUser
      yield* socket.join(user.rooms)
      yield* socket.onAuth((user) =>
        Effect.andThen(
          socket.reauthorize((room) => Effect.succeed(user.rooms.includes(room))),
          Effect.sync(() => told.push(user))
        )
      )
      yield* build(socket)
      yield* Queue.offer(sockets, socket)
      const name = Effect.map(CurrentUser, ({ name, rooms }) => `${name} of ${rooms.join("+")}`)
      return Desk.of({
        whoami: () => name,
        turn: () => Effect.tap(name, () => Deferred.await(gate)),
        slow: () =>
          Effect.gen(function* () {
            const before = yield* name
            yield* Deferred.await(gate)
            return [before, yield* name]
          })
      })
    })
  ).pipe(Layer.provide(AuthenticationLive))
  return { layer, next: Queue.take(sockets), told, open: Deferred.succeed(gate, undefined) }
})
