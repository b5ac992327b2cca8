import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type * as Namespace from "../../Namespace.ts"
import type { ServerSocket } from "../../server/ServerSocket.ts"
import type { SocketIoServerShape } from "../../server/SocketIoServer.ts"
import type { ResolvedAdminOptions } from "../AdminOptions.ts"
import { ServerStats } from "./serverStats.ts"
import { guarded, Teller } from "./teller.ts"
import { Viewers } from "./viewers.ts"
import { Watcher } from "./watcher.ts"

/**
 * The pause between two messages of numbers. The page calls a server unhealthy after 10 seconds
 * without.
 */
const STATS_PAUSE = "2 seconds"

/** The event with which servers tell each other that somebody looks, and which pages are new. */
const LOOKING = "effect-socket.io/admin/looking"

/** The pages that one such event may name. */
const MAX_NAMED = 100

/** The view of one server that pages get. */
export interface Show {
  /** Shows the server to a page that has connected here, until the scope closes. */
  readonly welcome: (socket: ServerSocket<Namespace.Untyped>) => Effect.Effect<void, never, Scope.Scope>
}

/** The ids in an event of another server. */
const idsIn = (value: unknown): ReadonlyArray<string> =>
  Array.isArray(value) ? value.slice(0, MAX_NAMED).filter((id): id is string => typeof id === "string") : []

/** Shows a server, until the scope closes: while somebody looks, here or at another server. */
export const makeShow = Effect.fnUntraced(function* (
  server: SocketIoServerShape,
  options: ResolvedAdminOptions<any>
): Effect.fn.Return<Show, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const namespace = yield* server.namespace(options.namespace)
  const stats = new ServerStats(server, yield* server.engine, options.serverId)
  const teller = yield* Teller.make(namespace)
  const viewers = new Viewers()
  const watcher = options.isDevelopment ? new Watcher(server, teller, () => viewers.local, clock, options) : undefined
  /**
   * Pages of other servers that are to see the sockets of this one, once the watcher is attached.
   */
  const newcomers: Array<string> = []
  const tellOthers = (ids: ReadonlyArray<string>) => namespace.serverSideEmit(LOOKING, ids.slice(0, MAX_NAMED))

  const attach = Effect.gen(function* () {
    if (watcher === undefined) return
    yield* watcher.attach
    // A page takes the sockets of its own server first: they replace all others.
    teller.afterwards(tellOthers(viewers.local))
    watcher.addAll(newcomers.splice(0))
  })
  const tick = Effect.gen(function* () {
    yield* namespace.emit("server_stats", yield* stats.next(now()))
    if (viewers.local.length > 0) yield* tellOthers([])
    viewers.update(now())
  })
  const look = Effect.gen(function* () {
    stats.restart(now())
    yield* guarded(attach)
    return yield* Effect.forever(Effect.andThen(guarded(tick), Effect.sleep(STATS_PAUSE)))
  })
  yield* namespace.onServerSide(LOOKING, (ids) =>
    Effect.sync(() => {
      viewers.lease(now())
      if (watcher === undefined) return
      if (watcher.isAttached) watcher.addAll(idsIn(ids))
      else newcomers.push(...idsIn(ids).slice(0, MAX_NAMED - newcomers.length))
    })
  )
  yield* Effect.forkScoped(viewers.whileAny(look), { startImmediately: true })
  return {
    welcome: Effect.fnUntraced(function* (socket) {
      const { id } = socket
      yield* socket.emit("server_stats", yield* stats.now)
      // The first page is shown the sockets when the watcher is attached.
      if (watcher?.isAttached) {
        yield* watcher.welcome(socket)
        watcher.showAll([id])
        teller.afterwards(tellOthers([id]))
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => viewers.add(id, now())),
        () => Effect.sync(() => viewers.remove(id, now()))
      )
    })
  }
})
