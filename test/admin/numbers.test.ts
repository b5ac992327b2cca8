/**
 * Production: the numbers of servers, and that they cost the connections nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"

import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as Admin from "../../src/admin/Admin.ts"
import type { AdminOptions } from "../../src/admin/AdminOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { openPage, settle } from "../support/adminPage.ts"
import { Cluster } from "../support/linkedAdapter.ts"
import { alone, read } from "../support/metrics.ts"

const Echo = Layer.mergeAll(
  SocketIoServer.layerNamespace("/", (socket) =>
    Effect.andThen(
      socket.join("lobby"),
      socket.on("echo", (text) => socket.emit("echo", text))
    )
  ),
  SocketIoServer.layerDynamicNamespace(/^\/room-\d+$/, () => Effect.succeed(() => Effect.void))
)

const server = (options: Partial<AdminOptions> = {}) =>
  Layer.merge(Echo, Layer.orDie(Admin.layer({ auth: false, ...options }))).pipe(
    Layer.provideMerge(TestSocketIo.layer())
  )

const withAdmin = (options: Partial<AdminOptions> = {}) => Effect.provide(server(options))

describe("the numbers of a server", () => {
  it.effect("are those of its metrics, and come at once and every two seconds", () =>
    alone(
      Effect.gen(function* () {
        const page = yield* openPage({})
        yield* Effect.forEach([1, 2], (n) => openPage(undefined, { namespace: `/room-${n}` }))
        const client = yield* openPage(undefined, { namespace: "/room-1" })
        const [[first]] = page.all("server_stats") as [[any]]
        assert.deepInclude(first, { serverId: "alpha", pid: process.pid, clientsCount: 1, aggregatedEvents: [] })
        assert.deepStrictEqual(
          first.namespaces.map(({ name }: any) => name),
          ["/", "/admin"]
        )
        const before = page.all("server_stats").length
        yield* TestClock.adjust("2 seconds")
        yield* settle
        assert.lengthOf(page.all("server_stats"), before + 1)
        const [stats] = page.all("server_stats").at(-1)!
        assert.deepInclude(stats, { clientsCount: 4, pollingClientsCount: 0 })
        assert.deepStrictEqual(stats.namespaces, [
          { name: "/", socketsCount: 0 },
          { name: "/admin", socketsCount: 1 },
          { name: "/room-1", socketsCount: 2 },
          { name: "/room-2", socketsCount: 1 }
        ])
        yield* client.close
        // Bytes are counted every ten seconds.
        yield* TestClock.adjust("10 seconds")
        yield* settle
        // Everything that was counted since somebody looks, as it is exported.
        const sums: Record<string, number> = {}
        for (const [{ aggregatedEvents }] of page.all("server_stats")) {
          for (const { count, type } of aggregatedEvents) sums[type] = (sums[type] ?? 0) + count
        }
        const counted = yield* read
        assert.strictEqual(sums["rawConnection"], 3)
        assert.strictEqual(counted["connections_opened"], 4)
        assert.strictEqual(sums["rawDisconnection"], 1)
        for (const [type, metric] of [
          ["packetsIn", "packets_received"],
          ["packetsOut", "packets_sent"],
          ["bytesIn", "bytes_received{websocket}"],
          ["bytesOut", "bytes_sent{websocket}"]
        ] as const) {
          assert.isAbove(sums[type]!, 0, type)
          assert.isAtMost(sums[type]!, counted[metric]!, type)
        }
        // The page's own packets before somebody looked, and the last numbers, are not among them.
        assert.isAtMost(counted["packets_received"]! - sums["packetsIn"]!, 2)
        assert.isAtMost(counted["packets_sent"]! - sums["packetsOut"]!, 6)
      }).pipe(withAdmin({ serverId: "alpha" }))
    )
  )

  it.effect("are not told while nobody looks, nor later", () =>
    alone(
      Effect.gen(function* () {
        const home = yield* SocketIoServer.namespace("/admin")
        const page = yield* openPage({})
        yield* page.close
        assert.strictEqual(yield* home.all.local.size, 0)
        const told = yield* recordBroadcasts
        yield* openPage(undefined, { namespace: "/room-1" })
        yield* TestClock.adjust("1 minute")
        yield* settle
        assert.deepStrictEqual(told, [])
        const back = yield* openPage({})
        yield* TestClock.adjust("2 seconds")
        yield* settle
        const types = back
          .all("server_stats")
          .flatMap(([{ aggregatedEvents }]) => aggregatedEvents.map(({ type }: any) => type))
        assert.notInclude(types, "rawConnection")
      }).pipe(withAdmin())
    )
  )

  it.effect("take nothing but the server's own counts: nothing is attached to namespaces and sockets", () =>
    Effect.gen(function* () {
      const touched = new Set<string>()
      /** Notes the members of handles that are used, and those of their sockets. */
      const noting = <A extends object>(label: string, target: A): A =>
        new Proxy(target, {
          get: (target, member) => {
            if (typeof member === "string") touched.add(`${label}.${member}`)
            return Reflect.get(target, member)
          }
        })
      const Watched = Layer.effect(
        SocketIoServer.SocketIoServer,
        Effect.map(SocketIoServer.SocketIoServer, (server) => {
          const shape: SocketIoServer.SocketIoServerShape = {
            ...server,
            namespaces: Effect.map(server.namespaces, (handles) => handles.map((handle) => noting("handle", handle))),
            namespaceOpenings: (options) => {
              touched.add("namespaceOpenings")
              return server.namespaceOpenings(options)
            },
            connections: (options) => {
              touched.add("connections")
              return server.connections(options)
            }
          }
          return shape
        })
      )
      const run = (mode: "production" | "development") =>
        Effect.gen(function* () {
          touched.clear()
          yield* openPage(undefined, { namespace: "/room-1" })
          const page = yield* openPage({})
          yield* openPage(undefined, { namespace: "/room-2" })
          yield* TestClock.adjust("10 seconds")
          yield* settle
          assert.isAbove(page.all("server_stats").length, 4)
          return Array.from(touched).toSorted()
        }).pipe(
          Effect.scoped,
          Effect.provide(
            Layer.merge(Echo, Layer.orDie(Admin.layer({ auth: false, mode }))).pipe(
              Layer.provide(Watched),
              Layer.provideMerge(TestSocketIo.layer())
            )
          )
        )
      assert.deepStrictEqual(yield* run("production"), ["handle.all", "handle.name"])
      // The same notes do see what development attaches.
      assert.includeMembers(yield* run("development"), [
        "handle.connections",
        "handle.roomChanges",
        "namespaceOpenings"
      ])
    })
  )

  it.effect("come from every server of a cluster, while somebody looks at one of them", () =>
    Effect.gen(function* () {
      const cluster = new Cluster()
      const join = (serverId: string) =>
        Layer.build(
          Layer.fresh(server({ serverId })).pipe(Layer.provide(Layer.succeed(AdapterFactory, cluster.factory)))
        )
      const [alpha, beta] = [yield* join("alpha"), yield* join("beta")]
      yield* Effect.provideContext(openPage(undefined, { namespace: "/room-1" }), beta)
      const page = yield* Effect.provideContext(openPage({}), alpha)
      yield* TestClock.adjust("2 seconds")
      yield* settle
      const counts = () => {
        const last = new Map<string, number>()
        for (const [{ clientsCount, serverId }] of page.all("server_stats")) last.set(serverId, clientsCount)
        return Object.fromEntries(last)
      }
      assert.deepStrictEqual(counts(), { alpha: 1, beta: 1 })
      const home = Context.get(beta, SocketIoServer.SocketIoServer).namespace("/admin")
      assert.strictEqual(yield* Effect.flatMap(home, ({ all }) => all.local.size), 0)
      yield* page.close
      yield* TestClock.adjust("20 seconds")
      yield* settle
      const sent = cluster.sent.length
      yield* TestClock.adjust("20 seconds")
      yield* settle
      assert.strictEqual(cluster.sent.length, sent)
    })
  )
})

/** The events that are broadcast to administrators from now on. */
const recordBroadcasts = Effect.gen(function* () {
  const home = yield* SocketIoServer.namespace("/admin")
  const told: Array<string> = []
  yield* Effect.forkScoped(
    Stream.runForEach(home.broadcasts(), ({ event }) => Effect.sync(() => told.push(event))),
    { startImmediately: true }
  )
  return told
})
