/**
 * A server with recovery, clients with the rules of the official one and clients of this library, in worlds in which connections are lost
 * in every way. The oracle knows what each client must have heard.
 */
import { assert } from "@effect/vitest"
import { Effect, Layer, Logger, Schedule, Schema, Stream } from "effect"

import type { Selection } from "../../src/adapter/Adapter.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { OfficialModel } from "./officialModel.ts"
import { Oracle, type Stay } from "./oracle.ts"
import { sessionsOf } from "./sessions.ts"

/** The results of many seeds together. */
export interface Tally {
  /** How often clients have asked for their sessions, and have got them. */
  asked: number
  recovered: number
  /** How often nothing spoke against it. */
  due: number
  /** Messages that have come late, and all. */
  missed: number
  heard: number
  /** Connections of which only the client knew that they were lost. */
  abandoned: number
  /** The ends of connections. */
  readonly reasons: Map<string, number>
}

export const makeTally = (): Tally => ({
  asked: 0,
  recovered: 0,
  due: 0,
  missed: 0,
  heard: 0,
  abandoned: 0,
  reasons: new Map()
})

const STEPS = 40

const ROOMS = ["red", "green", "blue"]

/** The ends of connections after which a client may come back. */
export const LOSSES = new Set([
  "transport close",
  "transport error",
  "ping timeout",
  "forced close",
  "server shutting down",
  "session resumed"
])

/** The name of the client of this library. */
const OWN = "own"

class Guard extends NamespaceMiddleware.Service<Guard>()("test/Guard") {}

class Typed extends Namespace.make("/typed", {
  auth: Schema.Struct({ pid: Schema.optionalKey(Schema.String) }),
  serverToClient: [
    Event.make("n", { args: [Schema.Int] }),
    Event.make("text", { args: [Schema.Int, Schema.String] }),
    Event.make("maybe", { args: [Schema.Int, Schema.UndefinedOr(Schema.String)] }),
    Event.make("cursor", { args: [Schema.Int, Schema.String], recover: false }),
    Event.make("ask", { args: [Schema.Int, Schema.String], ack: Schema.Unknown })
  ]
}).middleware(Guard) {}

const Plain = Namespace.untyped("/")

const NAMESPACES = ["/", "/typed"] as const

type Name = (typeof NAMESPACES)[number]

/** The number of a message that a client has heard. It may be the event's name alone. */
export const numberOf = ([name, n]: ReadonlyArray<unknown>): number =>
  typeof n === "number" ? n : Number(/^n(\d+)$/.exec(String(name))?.[1])

/** One seed. */
export const scenario = (tally: Tally) =>
  Effect.gen(function* () {
    const { seed, world } = yield* Simulation.Simulation
    const random = new Seeded(seed, 21)
    const chance = (share: number) => random.below(1_000) < share * 1_000
    const oneOf = <A>(items: ReadonlyArray<A>): A => items[random.below(items.length)]!

    // ---------------------------------------------------------------- the weather

    /** Bounds that are exceeded: then clients need not be recovered, but must not be told that they are. */
    const isTight = chance(0.25)
    const policy = chance(0.7) ? "disconnect" : oneOf(["dropNewest", "dropOldest", "suspend"] as const)
    const isFull = policy !== "disconnect" || chance(0.15)
    const mayDrop = policy === "dropNewest" || policy === "dropOldest"
    const isNested = chance(0.3)
    const pausesReading = chance(0.2)
    const pongsTwice = !pausesReading && chance(0.3)
    const pingInterval = oneOf([300, 1_000, 5_000])
    const options: ServerOptions = {
      recovery: isTight
        ? {
            maxDisconnection: oneOf(["500 millis", "2 seconds"]),
            maxEvents: oneOf([5, 50]),
            maxBytes: oneOf([2_000, 20_000]),
            maxDirectBytes: oneOf([1_000, 10_000]),
            maxSessions: oneOf([1, 2, 20]),
            maxReplay: oneOf([3, 10, 1_000])
          }
        : true,
      heartbeat: {
        pingInterval,
        pingTimeout: oneOf([1_000, 3_000]),
        ...(chance(0.2) ? { schedule: Schedule.spaced(oneOf([250, 700])) } : {})
      },
      ...(isFull ? { limits: { maxOutbox: oneOf([2_000, 8_000]), outboxOverflow: policy } } : {}),
      ...(pausesReading ? { reading: { pauseAt: 2 } } : {}),
      drainTimeout: 0
    }
    const oracle = new Oracle()
    const faults: Array<string> = []
    const context = { isCalm: false }

    // ---------------------------------------------------------------- the server

    const live = new Map<string, any>()
    /** The stays of the pids that clients know. */
    const pids = new Map<string, Stay>()

    /** A client has asked for its stay. */
    const onAsked = (stay: Stay, isRecovered: boolean): void => {
      tally.asked++
      if (isRecovered) tally.recovered++
      // In a full world, a message may have been dropped for it.
      if (stay.over === undefined && !stay.mayBeOver && !isTight && !isFull) {
        tally.due++
        if (!isRecovered) faults.push(`${stay.sid} is not recovered, and nothing speaks against it`)
      }
      if (!isRecovered) stay.over ??= "not recovered"
    }

    const build = (name: Name) => (socket: any) =>
      Effect.gen(function* () {
        const { pid } = socket.handshake.auth
        const client = socket.handshake.query.get("c")
        const asked = typeof pid === "string" ? pids.get(pid) : undefined
        if (asked !== undefined) onAsked(asked, socket.recovered)
        if (socket.recovered) {
          const stay = oracle.stays.get(socket.id)
          if (stay === undefined || stay.over !== undefined)
            faults.push(`${socket.id} is back, though it was ${stay?.over}`)
          else if (stay !== asked && client !== OWN) faults.push(`${socket.id} is back, and was not asked for`)
          stay?.onResumed()
          tally.missed += socket.recovery.value.missed
        } else {
          oracle.admit(name, socket.id, client)
        }
        const stay = oracle.stays.get(socket.id)!
        live.set(socket.id, socket)
        yield* socket.onDisconnecting((reason: string) =>
          Effect.sync(() => {
            live.delete(socket.id)
            tally.reasons.set(reason, (tally.reasons.get(reason) ?? 0) + 1)
            if (isNested && depth < 2 && chance(0.5))
              broadcast(name, { rooms: chance(0.5) ? ["red"] : [], except: [] }, "event")
            // It has heard that, if it is still connected.
            if (!LOSSES.has(reason)) stay.over ??= reason
          })
        )
        if (isNested) {
          yield* socket.onAnyOutgoing(() =>
            Effect.sync(() => {
              if (depth >= 2 || !chance(0.05)) return
              if (chance(0.4)) broadcast(name, { rooms: [], except: [] }, "event")
              else if (chance(0.5) && live.has(socket.id)) direct(name, socket.id, "event")
              else change(name)
            })
          )
        }
        if (name === "/") yield* socket.on("work", () => Effect.sleep(400))
        return name === "/typed" ? {} : undefined
      })

    const guard = Layer.succeed(Guard, ({ id }) =>
      Effect.suspend(() => {
        if (context.isCalm || chance(0.6)) return Effect.void
        const refuse = Effect.suspend(() => {
          const stay = oracle.stays.get(id)
          if (stay !== undefined) stay.over ??= "refused"
          return Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "not now" }))
        })
        const decide = chance(0.2) ? refuse : Effect.void
        return chance(0.7) ? Effect.andThen(Effect.sleep(1 + random.below(800)), decide) : decide
      })
    )
    const server = yield* Layer.build(
      Layer.mergeAll(
        SocketIoServer.layerNamespace(Plain, build("/") as never),
        SocketIoServer.layerNamespace(Typed, build("/typed") as never).pipe(Layer.provide(guard))
      ).pipe(
        Layer.provideMerge(
          Simulation.layer({
            ...options,
            latency: [1, oneOf([2, 20, 60])],
            resetRate: oneOf([0, 0.005, 0.02]),
            halfOpenRate: oneOf([0, 0, 0.005])
          })
        )
      )
    )
    const sessions = yield* sessionsOf(server)
    const runSync = Effect.runSyncWith(server)
    const runFork = Effect.runForkWith(server)
    /** How many emissions and changes are in progress, one within the other. */
    let depth = 0
    const run = (effect: Effect.Effect<unknown, any, any>): void => {
      depth++
      runFork(effect as Effect.Effect<unknown>)
      depth--
    }
    const handles: Record<Name, any> = {
      "/": yield* Effect.provideContext(SocketIoServer.namespace(Plain), server),
      "/typed": yield* Effect.provideContext(SocketIoServer.namespace(Typed), server)
    }

    // ---------------------------------------------------------------- the application

    type Kind = "event" | "volatile" | "unlogged" | "ack"

    const pad = () => (isFull && chance(0.5) ? "x".repeat(random.below(1_500)) : "")

    /** The name and the arguments of an event. */
    const event = (name: Name, n: number, kind: Kind): readonly [string, ...Array<unknown>] => {
      if (name === "/typed") {
        if (kind === "unlogged") return ["cursor", [n, "poison"]]
        if (kind === "ack") return ["ask", [n, "poison"]]
        if (chance(0.3)) return ["n", [n]]
        return chance(0.5) ? ["text", [n, `t${pad()}`]] : ["maybe", [n, undefined]]
      }
      if (kind === "ack") return ["e", n, "poison"]
      switch (random.below(5)) {
        case 0:
          return [`n${n}`]
        case 1:
          return ["e", n]
        case 2:
          return ["e", n, new Uint8Array([1, 2, 3])]
        default:
          return ["e", n, `t${pad()}`]
      }
    }

    const operator = (name: Name, { except, rooms }: Selection, kind: Kind) => {
      let operator = rooms.length === 0 ? handles[name].all : handles[name].to(rooms)
      if (except.length > 0) operator = operator.except(except)
      return kind === "volatile" ? operator.volatile : operator
    }

    const broadcast = (name: Name, selection: Selection, kind: Kind): void => {
      const n = oracle.number()
      const [head, ...args] = event(name, n, kind)
      const to = operator(name, selection, kind)
      oracle.broadcast(name, selection, n, kind === "event")
      run(kind === "ack" ? Stream.runDrain(to.emitWithAck(head, ...args)) : to.emit(head, ...args))
    }

    /** To a socket that has its connection. */
    const direct = (name: Name, sid: string, kind: Kind): void => {
      const socket = live.get(sid)
      const n = oracle.number()
      const [head, ...args] = event(name, n, kind)
      const floats = kind !== "volatile" && policy === "suspend"
      oracle.stays.get(sid)!.add({ n, must: kind === "event", floats })
      const from = kind === "volatile" ? socket.volatile : socket
      run(Effect.ignore(kind === "ack" ? from.emitWithAck(head, ...args) : from.emit(head, ...args)))
    }

    const sidsOf = (name: Name) => Array.from(live.values()).filter(({ namespace }) => namespace === name)

    const someRooms = (name: Name, max: number): Array<string> => {
      const names = [
        ...ROOMS,
        ...ROOMS,
        ...Array.from(oracle.stays.values())
          .slice(-6)
          .map(({ sid }) => sid)
      ]
      return Array.from({ length: random.below(max + 1) }, () => oneOf(names)).concat(name === "/" ? [] : [])
    }

    const anyKind = (name: Name): Kind => {
      const kind = oneOf(["event", "event", "event", "event", "volatile", "ack", "unlogged"] as const)
      return kind === "unlogged" && name === "/" ? "event" : kind
    }

    /** Something with rooms. */
    const change = (name: Name): void => {
      const sockets = sidsOf(name)
      const rooms = [oneOf(ROOMS)]
      if (chance(0.5) && sockets.length > 0) {
        const socket = oneOf(sockets)
        const self = { rooms: [socket.id], except: [] }
        if (chance(0.6)) {
          oracle.join(name, self, rooms)
          return run(socket.join(rooms))
        }
        oracle.leave(name, self, rooms)
        return run(socket.leave(rooms))
      }
      const selection = { rooms: someRooms(name, 2), except: someRooms(name, 1) }
      const to = operator(name, selection, "event")
      if (chance(0.6)) {
        oracle.join(name, selection, rooms)
        return run(to.socketsJoin(rooms))
      }
      oracle.leave(name, selection, rooms)
      run(to.socketsLeave(rooms))
    }

    const act = (): void => {
      const name = oneOf(NAMESPACES)
      const sockets = sidsOf(name)
      switch (random.below(10)) {
        case 0:
        case 1:
        case 2:
        case 3:
          return broadcast(name, { rooms: someRooms(name, 2), except: someRooms(name, 1) }, anyKind(name))
        case 4: {
          if (sockets.length === 0) return
          const { id } = oneOf(sockets)
          return broadcast(name, { rooms: someRooms(name, 1), except: [id] }, anyKind(name))
        }
        case 5:
        case 6:
          return sockets.length === 0 ? undefined : direct(name, oneOf(sockets).id, anyKind(name))
        case 7:
        case 8:
          return change(name)
        case 9: {
          if (!chance(0.05)) return
          const selection = { rooms: [oneOf(ROOMS)], except: someRooms(name, 2) }
          const to = operator(name, selection, "event")
          const close = chance(0.3)
          if (close) oracle.close(name, selection)
          for (const stay of oracle.select(name, selection)) if (!live.has(stay.sid)) stay.over = "kicked"
          return run(to.disconnectSockets({ close }))
        }
      }
    }

    // ---------------------------------------------------------------- the clients

    const { makeNetwork } = yield* Effect.provideContext(TestSocketIo.TestSocketIo, server)
    const models = Array.from({ length: 2 + random.below(2) }, (_, i) => {
      const model = new OfficialModel({
        world,
        makeNetwork,
        transport: oneOf(["websocket", "polling"]),
        namespaces: NAMESPACES,
        query: { c: String(i) },
        pause: () => 1 + random.below(context.isCalm ? 50 : oneOf([20, 300, 3_000])),
        pongsTwice: () => pongsTwice && chance(0.5)
      })
      model.onConnected = (socket) => {
        const stay = oracle.stays.get(socket.sid!)
        if (stay !== undefined && socket.pid !== undefined) pids.set(socket.pid, stay)
      }
      return model
    })
    for (const model of models) model.connect()

    /** A client of this library, with what it has heard in each of its stays. */
    const join = Effect.fnUntraced(function* (c: string) {
      const reconnection = Schedule.spaced(oneOf([20, 300, 1_000]))
      const transports = oneOf([["websocket"], ["polling"], ["polling", "websocket"]] as const)
      const client = yield* TestSocketIo.makeClient({
        transports,
        query: { c },
        reconnection,
        connectTimeout: "2 seconds"
      })
      const sockets = yield* Effect.forEach(NAMESPACES, (name) =>
        Effect.gen(function* () {
          const socket = yield* client.socket(name as string)
          const heard = new Map<string, Array<number>>()
          yield* socket.onAny((event, args) =>
            Effect.sync(() => {
              const numbers = heard.get(socket.id!) ?? []
              heard.set(socket.id!, numbers)
              numbers.push(numberOf([event, ...args]))
            })
          )
          yield* Effect.forEach(["e", "ask"], (event) => socket.respond(event, () => Effect.succeed(1)))
          let last: Stay | undefined
          yield* Effect.forkScoped(
            Stream.runForEach(socket.status, (status) => {
              if (status._tag === "Connected") {
                const stay = oracle.stays.get(status.id)!
                if (status.recovered !== (last === stay)) faults.push(`own ${name} ${status.id}: not as it is told`)
                if (last !== undefined) onAsked(last, status.recovered)
                last = stay
                return Effect.void
              }
              if (status._tag === "Connecting") return Effect.void
              if (status._tag === "Failed" ? status.error.willRetry : status.willRetry) return Effect.void
              return Effect.andThen(Effect.sleep(100), Effect.ignore(socket.reconnect()))
            }),
            { startImmediately: true }
          )
          return { name, socket, heard }
        })
      )
      return { network: client.network, sockets }
    })
    const others = chance(0.25) ? [yield* Effect.provideContext(join(OWN), server)] : []

    const trouble = (): void => {
      if (others.length > 0 && chance(0.3)) {
        const { network } = others[0]!
        if (chance(0.5)) return runSync(network.drop)
        runSync(chance(0.5) && !pongsTwice ? network.stall : network.cut)
        return void world.after(random.below(chance(0.2) ? 8_000 : 1_000), () => runSync(network.restore))
      }
      const model = oneOf(models)
      const { network } = model
      switch (random.below(9)) {
        case 0:
          return model.close()
        case 1:
          return runSync(network.drop)
        case 2: {
          runSync(network.cut)
          return void world.after(random.below(chance(0.2) ? 10_000 : 1_000), () => runSync(network.restore))
        }
        case 3: {
          if (pongsTwice) return
          runSync(network.stall)
          return void world.after(random.below(chance(0.3) ? 6_000 : 1_000), () => runSync(network.restore))
        }
        case 4:
        case 5:
          tally.abandoned++
          // A pong that is held up may come after the next ping, and cannot be told from its answer.
          return pongsTwice ? runSync(network.drop) : model.abandon((network) => runSync(network.stall))
        case 6: {
          const socket = oneOf(Array.from(live.values()))
          if (socket === undefined) return
          if (chance(0.7)) return sessions.get(socket.connection.id)?.closeUnsafe()
          oracle.closeClient(oracle.stays.get(socket.id)!.client)
          return void runSync(socket.connection.close())
        }
        case 7:
          return chance(0.2) ? oneOf(model.sockets).leave() : undefined
        case 8:
          if (!model.sockets[0]!.isConnected) return
          for (let i = 0; i < 5; i++) model.sendRaw('42["work"]')
          return
      }
    }

    // ---------------------------------------------------------------- what happens

    for (let step = 0; step < STEPS; step++) {
      if (chance(0.7)) yield* Effect.sleep(1 + random.below(chance(0.1) ? 2_000 : 100))
      if (chance(0.2)) trouble()
      else for (let i = chance(0.05) ? 20 : 1 + random.below(3); i > 0; i--) act()
    }

    // ---------------------------------------------------------------- the end

    context.isCalm = true
    yield* Simulation.calm
    const isThere = () =>
      models.every(({ sockets }) => sockets.every(({ isConnected, sid }) => isConnected && live.has(sid!))) &&
      others.every(({ sockets }) => sockets.every(({ socket }) => socket.connected && live.has(socket.id!)))
    for (let i = 0; i < 200 && !isThere(); i++) yield* Effect.sleep(300)
    if (!isThere()) faults.push("not all clients have come back")
    yield* Effect.sleep(1_000)
    for (const name of NAMESPACES) broadcast(name, { rooms: [], except: [] }, "event")
    yield* Effect.sleep(2_000)

    for (const { sockets } of models) {
      for (const socket of sockets) {
        for (const [i, { heard, sid }] of socket.stays.entries()) {
          const stay = oracle.stays.get(sid)!
          tally.heard += heard.length
          const isComplete = i === socket.stays.length - 1 && isThere()
          const fault = stay.check(heard.map(numberOf), isComplete, mayDrop)
          if (fault !== undefined) faults.push(`${socket.namespace} ${sid}: ${fault}`)
        }
      }
    }
    for (const { sockets } of others) {
      for (const { heard, name, socket } of sockets) {
        for (const [sid, numbers] of heard) {
          const fault = oracle.stays.get(sid)!.check(numbers, socket.id === sid && isThere(), mayDrop)
          if (fault !== undefined) faults.push(`own ${name} ${sid}: ${fault}`)
          tally.heard += numbers.length
        }
      }
    }
    for (const model of models) model.stop()
    assert.deepStrictEqual(
      faults,
      [],
      faults.join("; ") + JSON.stringify({ isTight, policy, isFull, isNested, pausesReading, pongsTwice })
    )
  }).pipe(Effect.provide(Logger.layer([])))
