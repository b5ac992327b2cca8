/**
 * Real connections that are cut, through a proxy: official clients and ours, against the same oracle as in the simulation.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Schedule, type Scope, Stream } from "effect"
import { io } from "socket.io-client"

import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"
import { costly } from "../support/extent.ts"
import { type FaultyProxy, faultyProxy } from "../support/FaultyProxy.ts"
import { clientOf, eventually } from "../support/official.ts"
import { serve } from "../support/serve.ts"
import { Oracle } from "./oracle.ts"
import { sessionsOf } from "./sessions.ts"

const Room = Namespace.untyped("/room")

const ROOMS = ["red", "green", "blue"]

/** A client of either library. */
interface Client {
  readonly name: string
  readonly proxy: FaultyProxy
  /** The numbers that it has heard, by the ids that it had. */
  readonly heard: Map<string, Array<number>>
  readonly id: () => string | undefined
  /** How often it has come back, and was recovered. */
  readonly returns: { all: number; recovered: number }
  /** Closes the connection. */
  readonly close: () => void
  /** Gives the connection up without a word, if it can. */
  readonly giveUp: (() => void) | undefined
}

const hear = (heard: Client["heard"], id: string | undefined, n: unknown): void => {
  const numbers = heard.get(id!) ?? []
  heard.set(id!, numbers)
  numbers.push(n as number)
}

const official = Effect.fnUntraced(function* (
  name: string,
  target: string,
  transports: Array<string>
): Effect.fn.Return<Client, never, Scope.Scope> {
  const proxy = yield* faultyProxy(target)
  const heard: Client["heard"] = new Map()
  const returns = { all: -1, recovered: 0 }
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() =>
      io(`${proxy.url}/room`, {
        forceNew: true,
        transports,
        reconnectionDelay: 5,
        reconnectionDelayMax: 20,
        timeout: 1_000
      })
    ),
    (socket) => Effect.sync(() => socket.disconnect())
  )
  socket.onAny((_event, n, last) => {
    hear(heard, socket.id, n)
    if (typeof last === "function") last()
  })
  socket.on("connect", () => {
    returns.all++
    if (socket.recovered) returns.recovered++
  })
  const engine = () => socket.io.engine as any
  return {
    name,
    proxy,
    heard,
    returns,
    id: () => (socket.connected ? socket.id : undefined),
    // While it upgrades, this closes it within the task that has brought events. It keeps those for the next connection without
    // knowing their offsets, and hears them twice: no server can know that.
    close: () => (engine().upgrading ? proxy.reset() : engine().close()),
    giveUp: () => engine()._onClose("transport close")
  }
})

const ours = Effect.fnUntraced(function* (
  name: string,
  target: string,
  transports: ReadonlyArray<"websocket" | "polling">
) {
  const proxy = yield* faultyProxy(target)
  const heard: Client["heard"] = new Map()
  const returns = { all: -1, recovered: 0 }
  const using = yield* clientOf({ url: proxy.url, transports, reconnection: Schedule.spaced("10 millis") })
  const socket = yield* using(SocketIoClient.socket("/room"))
  yield* socket.onAny((_event, [n]) => Effect.sync(() => hear(heard, socket.id, n)))
  yield* socket.respond("ask", () => Effect.void)
  yield* Effect.forkScoped(
    Stream.runForEach(socket.status, (status) =>
      Effect.sync(() => {
        if (status._tag !== "Connected") return
        returns.all++
        if (status.recovered) returns.recovered++
      })
    ),
    { startImmediately: true }
  )
  return {
    name,
    proxy,
    heard,
    returns,
    id: () => socket.id,
    close: () => proxy.reset(),
    giveUp: undefined
  } satisfies Client as Client
})

describe("real connections that are cut", () => {
  const cuts = costly(1_000, 60, 24)

  it.live(
    `${cuts} times: nothing is missing, and nothing comes twice`,
    () =>
      Effect.gen(function* () {
        const random = new Seeded(cuts, 41)
        const chance = (share: number) => random.below(1_000) < share * 1_000
        const oneOf = <A>(items: ReadonlyArray<A>): A => items[random.below(items.length)]!

        const oracle = new Oracle()
        const live = new Map<string, ServerSocket<Namespace.Untyped>>()
        const faults: Array<string> = []
        const layer = SocketIoServer.layerNamespace(Room, (socket) =>
          Effect.gen(function* () {
            if (!socket.recovered) oracle.admit("/room", socket.id, "")
            oracle.stays.get(socket.id)!.onResumed()
            live.set(socket.id, socket)
            yield* socket.onDisconnecting(() => Effect.sync(() => live.delete(socket.id)))
          })
        )
        const { server, url } = yield* serve(layer, {
          recovery: true,
          heartbeat: { pingInterval: 400, pingTimeout: 600 }
        })
        const sessions = yield* sessionsOf(server)
        const namespace = yield* Effect.provideContext(SocketIoServer.namespace(Room), server)
        const runFork = Effect.runForkWith(server)
        const run = (effect: Effect.Effect<unknown, any>): void => void runFork(effect)

        // ---------------------------------------------------------------- the application

        const pad = () => (chance(0.1) ? "x".repeat(random.below(5_000)) : "t")

        const act = (): void => {
          const n = oracle.number()
          const args = chance(0.5) ? [n] : [n, pad()]
          const sockets = Array.from(live.values())
          switch (random.below(8)) {
            case 0: {
              if (sockets.length === 0) return
              const { id } = oneOf(sockets)
              oracle.stays.get(id)!.add({ n, must: true, floats: false })
              return run(live.get(id)!.emit("own", ...args))
            }
            case 1: {
              oracle.broadcast("/room", { rooms: [], except: [] }, n, false)
              return run(namespace.all.volatile.emit("volatile", n, "poison"))
            }
            case 2: {
              oracle.broadcast("/room", { rooms: [], except: [] }, n, false)
              return run(Stream.runDrain(namespace.emitWithAck("ask", n, "poison")))
            }
            case 3:
            case 4: {
              const selection = { rooms: [oneOf([...ROOMS, ...oracle.stays.keys()])], except: [] }
              const rooms = [oneOf(ROOMS)]
              const to = namespace.to(selection.rooms)
              if (chance(0.6)) {
                oracle.join("/room", selection, rooms)
                return run(to.socketsJoin(rooms))
              }
              oracle.leave("/room", selection, rooms)
              return run(to.socketsLeave(rooms))
            }
            default: {
              const rooms = chance(0.4) ? [] : [oneOf(ROOMS)]
              const except = chance(0.3) ? [oneOf(ROOMS)] : []
              oracle.broadcast("/room", { rooms, except }, n, true)
              const to = rooms.length === 0 ? namespace.all : namespace.to(rooms)
              return run(to.except(except).emit("e", ...args))
            }
          }
        }

        // ---------------------------------------------------------------- the cuts

        const clients = [
          yield* official("official, WebSocket", url, ["websocket"]),
          yield* official("official, polling", url, ["polling"]),
          yield* official("official, upgrade", url, ["polling", "websocket"]),
          yield* ours("ours, WebSocket", url, ["websocket"]),
          yield* ours("ours, upgrade", url, ["polling", "websocket"])
        ]
        const isBack = ({ id }: Client) => id() !== undefined && live.has(id()!)
        yield* eventually(() => clients.every(isBack))

        const cut = Effect.fnUntraced(function* (client: Client) {
          const { close, giveUp, proxy, returns } = client
          const before = returns.all
          const id = client.id()
          // The next connection is lost, too, while it brings what was missed.
          const isEarly = chance(0.3)
          proxy.resetAfterAnswer(isEarly ? 300 + random.below(3_000) : Infinity)
          switch (random.below(giveUp === undefined ? 2 : 4)) {
            case 0:
              proxy.reset()
              break
            case 1:
              sessions.get(live.get(id ?? "")?.connection.id ?? "")?.closeUnsafe()
              if (chance(0.5)) proxy.reset()
              break
            case 2:
              close()
              break
            case 3: {
              proxy.strand()
              giveUp!()
              break
            }
          }
          yield* Effect.sleep(random.below(30))
          proxy.resetAfterAnswer(Infinity)
          yield* eventually(() => returns.all > before || client.id() !== id || !isBack(client)).pipe(
            Effect.timeoutOption("200 millis")
          )
          yield* eventually(() => isBack(client))
        })

        const isDone = { now: false }
        const busy = yield* Effect.forkScoped(
          Effect.gen(function* () {
            while (!isDone.now) {
              for (let i = random.below(4); i >= 0; i--) act()
              yield* Effect.sleep(2)
            }
          })
        )
        yield* Effect.forEach(
          clients,
          (client) => Effect.repeat(cut(client), { times: Math.ceil(cuts / clients.length) - 1 }),
          { concurrency: "unbounded", discard: true }
        )
        isDone.now = true
        yield* Fiber.await(busy)

        // ---------------------------------------------------------------- the end

        const last = oracle.number()
        oracle.broadcast("/room", { rooms: [], except: [] }, last, true)
        yield* namespace.emit("end", last)
        yield* eventually(() => clients.every(({ heard, id }) => heard.get(id() ?? "")?.at(-1) === last))
        let returned = 0
        for (const { heard, id, name, returns } of clients) {
          for (const [sid, numbers] of heard) {
            const fault = oracle.stays.get(sid)!.check(numbers, sid === id(), false)
            if (fault !== undefined) faults.push(`${name} ${sid}: ${fault}`)
          }
          if (returns.recovered !== returns.all)
            faults.push(`${name}: recovered ${returns.recovered} of ${returns.all}`)
          returned += returns.all
        }
        console.log(
          clients.map(({ name, returns }) => [name, returns]),
          oracle.number()
        )
        assert.deepStrictEqual(faults, [], faults.join("; "))
        assert.isAtLeast(returned, 0.9 * cuts)
      }).pipe(Effect.provide(Logger.layer([]))),
    30_000 + cuts * 200
  )
})
