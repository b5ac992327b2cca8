/**
 * Several servers that share a log and sessions, and clients with the rules of the official one that come back to any of them, in worlds
 * in which connections are lost in every way, and servers hang and die. What each client must have heard follows from the log alone: the
 * history is read again from the beginning of each stay.
 */
import { assert } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"

import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import type { Host } from "../../src/adapter/Adapter.ts"
import { makeMonitor } from "../../src/adapter/ClusterStatus.ts"
import * as DistributedAdapter from "../../src/adapter/DistributedAdapter.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { type LogEntry, ModelLog, ModelNode, type ModelOptions } from "./modelLog.ts"
import { OfficialModel } from "./officialModel.ts"
import { LOSSES } from "./scenario.ts"

/** The results of many seeds together. */
export interface ClusterTally {
  /** How often clients have asked for their sessions, and have got them. */
  asked: number
  recovered: number
  /** How often nothing spoke against it. */
  due: number
  /** How often another server than before has had the session. */
  moved: number
  missed: number
  heard: number
  killed: number
  drained: number
  frozen: number
  failedOver: number
}

export const makeClusterTally = (): ClusterTally => ({
  asked: 0,
  recovered: 0,
  due: 0,
  moved: 0,
  missed: 0,
  heard: 0,
  killed: 0,
  drained: 0,
  frozen: 0,
  failedOver: 0
})

const STEPS = 45
const ROOMS = ["red", "green", "blue"]
const NAMESPACES = ["/", "/other"] as const

interface Server {
  readonly node: ModelNode
  readonly scope: Scope.Closeable
  readonly context: Context.Context<SocketIoServer.SocketIoServer | TestSocketIo.TestSocketIo>
  readonly handles: Readonly<Record<string, any>>
  /** The sockets that have their connection. */
  readonly live: Map<string, any>
}

interface Stay {
  readonly sid: string
  readonly namespace: string
  /** It hears what comes after this entry. */
  readonly start: number
  node: string
  /** It may not come back. */
  isOver: boolean
  /** Its server has lost entries of the log while it was there: it may hear anything, unless it comes back. */
  hasGap: boolean
  /** Another server has taken over the log since. */
  isBefore: boolean
}

const numberOf = (data: ReadonlyArray<unknown>): number => data[1] as number

/** The numbers that a client hears in a stay, in their order, as the log says. */
const expected = (history: ReadonlyArray<LogEntry>, { namespace, sid, start }: Stay) => {
  const rooms = new Set([sid])
  const numbers: Array<number> = []
  const tail = new Set<number>()
  let isOver = false
  for (const { message, namespace: of } of history.slice(start)) {
    if (of !== namespace) continue
    const isIn = (room: string) => rooms.has(room)
    const isSelected = () =>
      "selection" in message &&
      (message.selection.rooms.length === 0 || message.selection.rooms.some(isIn)) &&
      !message.selection.except.some(isIn)
    switch (message._tag) {
      case "Enter":
        if (message.sid === sid) for (const room of message.rooms) rooms.add(room)
        break
      case "Exit":
        if (message.sid === sid) for (const room of message.rooms) rooms.delete(room)
        break
      case "Join":
        if (isSelected()) for (const room of message.rooms) rooms.add(room)
        break
      case "Leave":
        if (isSelected()) for (const room of message.rooms) if (room !== sid) rooms.delete(room)
        break
      case "Disconnect":
        isOver ||= isSelected()
        break
      case "Broadcast":
        if (message.atOnce || message.flags.volatile) break
        // Messages that were on their way to it alone come before the disconnection.
        if (isOver && message.direct && message.selection.rooms[0] === sid) tail.add(numberOf(message.data))
        if (isOver) break
        if (message.direct ? message.selection.rooms[0] === sid : isSelected()) numbers.push(numberOf(message.data))
        break
    }
  }
  return { numbers, tail }
}

/** One seed. With a mutation, the store has a fault. */
export const clusterScenario = (tally: ClusterTally, mutation?: ModelOptions["mutation"]) =>
  Effect.gen(function* () {
    const { seed, world } = yield* Simulation.Simulation
    const random = new Seeded(seed, 22)
    const chance = (share: number) => random.below(1_000) < share * 1_000
    const oneOf = <A>(items: ReadonlyArray<A>): A => items[random.below(items.length)]!
    const faults: Array<string> = []
    const context = { isCalm: false, hangs: false }

    // ---------------------------------------------------------------- the weather

    /** Bounds that are exceeded: then clients need not be recovered, but must not be told that they are. */
    const isTight = chance(0.25)
    const isLossy = chance(0.15)
    const isDeadly = chance(0.4)
    const failsOver = chance(0.2)
    let failedAt = 0
    const slowest = oneOf([2, 20, 120])
    const log = new ModelLog({
      world,
      latency: () => 1 + random.below(chance(0.05) ? 3 * slowest : slowest),
      loses: () => (isLossy && !context.isCalm && chance(0.05) ? oneOf(["before", "after"] as const) : "no"),
      remembers: chance(0.6),
      mutation
    })
    const pingInterval = oneOf([300, 1_000, 5_000])
    const options = {
      recovery: isTight
        ? {
            maxDisconnection: "2 seconds" as const,
            maxEvents: oneOf([5, 50]),
            maxReplay: oneOf([3, 1_000]),
            maxScan: oneOf([10, 20_000])
          }
        : true,
      heartbeat: { pingInterval, pingTimeout: oneOf([1_000, 3_000]) },
      latency: [1, oneOf([2, 20, 60])] as const,
      resetRate: oneOf([0, 0.005, 0.02]),
      halfOpenRate: oneOf([0, 0, 0.005]),
      drainTimeout: 0
    }

    // ---------------------------------------------------------------- the servers

    const stays = new Map<string, Stay>()
    /** The stays of the pids that clients know. */
    const pids = new Map<string, Stay>()
    const servers: Array<Server> = []
    /** The last time that each stay has come back. */
    const comings = new Map<string, number>()
    log.onBegin = (namespace, { checkpoint, pid, sid }, node) => {
      // Its server may not have learnt of it yet.
      const isBefore = checkpoint!.era !== log.state.era
      const stay = { sid, namespace, start: checkpoint!.index, node, isOver: isBefore, hasGap: false, isBefore }
      stays.set(sid, stay)
      pids.set(pid, stay)
    }

    const build = (name: string, live: Map<string, any>) =>
      Effect.fnUntraced(function* (socket: any) {
        const { pid } = socket.handshake.auth
        const asked = typeof pid === "string" ? pids.get(pid) : undefined
        if (asked !== undefined) {
          tally.asked++
          // It may be one of those that were kicked.
          const { namespace: nsp, start } = asked
          const isKicked = log.history
            .slice(start)
            .some(({ message, namespace }) => namespace === nsp && message._tag === "Disconnect")
          const isDue = !asked.isOver && !isKicked && !isTight && !isDeadly && !context.hangs && !log.early.has(pid)
          if (socket.recovered) {
            tally.recovered++
            tally.missed += socket.recovery.value.missed
            if (asked.node !== name) tally.moved++
            if (!isLossy) {
              const coming = tally.recovered
              comings.set(socket.id, coming)
              world.after(3_000, () => {
                if (comings.get(socket.id) !== coming) return
                const owners = usable().filter(({ live }) => live.has(socket.id))
                const isCalm = servers.every(({ node }) => !node.isFrozen && node.thawedAt < log.now() - 3_000)
                if (isCalm && owners.length > 1) faults.push(`${socket.id} is at two servers`)
              })
            }
            // Another server knew of what its own has lost.
            asked.hasGap = false
            const isCalm = servers.every(({ node }) => !node.isFrozen && node.thawedAt < log.now() - 2_000)
            if (asked.isBefore && isCalm && failedAt < log.now() - 2_000) {
              faults.push(`${socket.id} is recovered, though entries may be missing`)
            }
            if (asked.sid !== socket.id) faults.push(`${socket.id} is back, and was not asked for`)
          } else if (isDue) {
            faults.push(`${asked.sid} is not recovered, and nothing speaks against it`)
          }
          if (isDue) tally.due++
          if (!socket.recovered) asked.isOver = true
        }
        const stay = stays.get(socket.id)
        if (stay !== undefined) stay.node = name
        live.set(socket.id, socket)
        yield* socket.onDisconnecting((reason: string) =>
          Effect.sync(() => {
            if (live.get(socket.id) === socket) live.delete(socket.id)
            // It has begun when this builder was done.
            const stay = stays.get(socket.id)
            if (stay !== undefined && !LOSSES.has(reason)) stay.isOver = true
          })
        )
        yield* Effect.forkScoped(Effect.ignore(socket.join("red")), { startImmediately: true })
      })

    let started = 0
    const start = Effect.gen(function* () {
      const name = `node${++started}`
      const node = new ModelNode(name, log)
      const live = new Map<string, any>()
      node.place.gapListeners.add(() => {
        for (const sid of live.keys()) {
          const stay = stays.get(sid)
          if (stay !== undefined) stay.isOver = stay.hasGap = true
        }
      })
      const scope = yield* Scope.fork(yield* Effect.scope)
      const monitor = yield* makeMonitor
      const factory = Object.assign((host: Host) => DistributedAdapter.make(host, node.open, monitor), {
        sharesLog: true
      })
      const serve = (nsp: string) => SocketIoServer.layerNamespace(Namespace.untyped(nsp), build(name, live) as never)
      const layer = Layer.mergeAll(serve("/"), serve("/other")).pipe(
        Layer.provideMerge(Simulation.layer(options)),
        Layer.provide(Layer.succeed(AdapterFactory, factory))
      )
      const context: Context.Context<any> = yield* Layer.buildWithScope(layer as Layer.Layer<any, any, any>, scope)
      const handles: Record<string, any> = {}
      for (const nsp of NAMESPACES) {
        handles[nsp] = yield* Effect.provideContext(SocketIoServer.namespace(Namespace.untyped(nsp)), context)
      }
      const server = { node, scope, context, handles, live }
      servers.push(server)
      return server
    })
    for (let i = 2 + random.below(2); i > 0; i--) yield* start
    const drained = new Set<Server>()
    const usable = () => servers.filter((server) => !server.node.isDead && !drained.has(server))
    const { runFork, runSync } = yield* Effect.map(Effect.context<never>(), (context) => ({
      runFork: Effect.runForkWith(context),
      runSync: Effect.runSyncWith(context)
    }))
    /** Runs something at a server, until it ends. */
    const run = ({ scope }: Server, effect: Effect.Effect<unknown, any, any>) =>
      void runFork(Effect.forkIn(Effect.ignore(effect) as Effect.Effect<void>, scope, { startImmediately: true }))

    // ---------------------------------------------------------------- the application

    let last = 0
    const event = () => (chance(0.5) ? ["e", ++last] : ["e", ++last, "poison"])

    const narrow = (server: Server, nsp: string) => {
      const names = [...ROOMS, ...ROOMS, ...Array.from(stays.keys()).slice(-5)]
      const some = (max: number) => Array.from({ length: random.below(max + 1) }, () => oneOf(names))
      const rooms = some(2)
      const except = some(1)
      let operator = rooms.length === 0 ? server.handles[nsp].all : server.handles[nsp].to(rooms)
      if (except.length > 0) operator = operator.except(except)
      return operator
    }

    const act = (): void => {
      const server = oneOf(usable())
      const nsp = oneOf(NAMESPACES)
      const sockets = Array.from(server.live.values()).filter(({ namespace }) => namespace === nsp)
      const [name, ...args] = event()
      switch (random.below(10)) {
        case 0:
        case 1:
        case 2:
          return run(server, narrow(server, nsp).emit(name, ...args))
        case 3:
          return run(server, narrow(server, nsp).volatile.emit(name, ...args))
        case 4:
        case 5:
          return sockets.length === 0 ? undefined : run(server, oneOf(sockets).emit(name, ...args))
        case 6:
          return sockets.length === 0 ? undefined : run(server, oneOf(sockets).join(oneOf([...ROOMS, ...stays.keys()])))
        case 7:
          return sockets.length === 0 ? undefined : run(server, oneOf(sockets).leave(oneOf(ROOMS)))
        case 8:
          return run(
            server,
            chance(0.6) ? narrow(server, nsp).socketsJoin(oneOf(ROOMS)) : narrow(server, nsp).socketsLeave(oneOf(ROOMS))
          )
        case 9:
          if (chance(0.1)) run(server, narrow(server, nsp).disconnectSockets())
      }
    }

    // ---------------------------------------------------------------- the clients

    /** The server of a network. */
    const homes = new Map<unknown, Server>()
    const makeNetwork = () => {
      const server = oneOf(usable())
      const { makeNetwork } = Context.get(server.context, TestSocketIo.TestSocketIo)
      const network = makeNetwork()
      homes.set(network, server)
      return network
    }
    const models = Array.from({ length: 2 + random.below(2) }, () => {
      const model = new OfficialModel({
        world,
        makeNetwork,
        transport: oneOf(["websocket", "polling"]),
        namespaces: NAMESPACES,
        query: {},
        pause: () => 1 + random.below(context.isCalm ? 50 : oneOf([20, 300, 2_000])),
        pongsTwice: () => false,
        hops: () => context.isCalm || chance(0.7) || !usable().includes(homes.get(model.network)!)
      })
      return model
    })
    for (const model of models) model.connect()

    const trouble = Effect.gen(function* () {
      const model = oneOf(models)
      const { network } = model
      switch (random.below(8)) {
        case 0:
          return model.close()
        case 1:
        case 2:
          return runSync(network.drop)
        case 3:
          runSync(network.stall)
          return void world.after(random.below(chance(0.3) ? 6_000 : 1_000), () => runSync(network.restore))
        case 4:
          return model.abandon((network) => runSync(network.stall))
        case 5: {
          const { node } = oneOf(usable())
          if (node.isFrozen) return
          tally.frozen++
          node.freeze()
          const millis = random.below(chance(0.3) ? 8_000 : 500)
          // No client waits for so long.
          if (millis > 1_000) context.hangs = true
          return void world.after(millis, () => {
            // It has not read what is not there any more.
            if (isTight && chance(0.5)) log.trim(random.below(3))
            node.thaw()
          })
        }
        case 6: {
          if (!isDeadly || !chance(0.5)) return
          const server = oneOf(usable())
          yield* start
          if (chance(0.3)) {
            // It ends in good order.
            tally.drained++
            drained.add(server)
            const drain = SocketIoServer.drain({ notice: 0, over: "300 millis" })
            return void (yield* Effect.forkScoped(Effect.provideContext(drain, server.context)))
          }
          tally.killed++
          server.node.die()
          for (const model of models) if (homes.get(model.network) === server) runSync(model.network.drop)
          return
        }
        case 7:
          if (failsOver) {
            tally.failedOver++
            failedAt = log.now()
            for (const stay of stays.values()) stay.isOver = stay.isBefore = true
            log.failOver(random.below(4))
          } else if (isTight && chance(0.5)) log.trim(random.below(20))
          else if (chance(0.2)) oneOf(model.sockets).leave()
      }
    })

    // ---------------------------------------------------------------- what happens

    for (let step = 0; step < STEPS; step++) {
      if (chance(0.7)) yield* Effect.sleep(1 + random.below(chance(0.1) ? 2_000 : 100))
      if (chance(0.2)) yield* trouble
      else for (let i = chance(0.05) ? 20 : 1 + random.below(3); i > 0; i--) act()
    }
    context.isCalm = true
    for (const { node } of servers) node.thaw()
    yield* Simulation.calm
    const isThere = () =>
      models.every(({ sockets }) =>
        sockets.every(({ isConnected, sid }) => isConnected && usable().some(({ live }) => live.has(sid!)))
      )
    for (let i = 0; i < 100 && !isThere(); i++) yield* Effect.sleep(300)
    if (!isThere()) faults.push("not all clients have come back")
    yield* Effect.sleep(12_000)
    for (const nsp of NAMESPACES) {
      const server = oneOf(usable())
      run(server, server.handles[nsp].emit("e", ++last))
    }
    yield* Effect.sleep(3_000)

    // ---------------------------------------------------------------- the end

    const logged = new Set(
      log.history.flatMap(({ message }) =>
        message._tag === "Broadcast" && !message.atOnce && !message.flags.volatile ? [numberOf(message.data)] : []
      )
    )
    for (const { sockets } of models) {
      for (const socket of sockets) {
        for (const [i, { heard, sid }] of socket.stays.entries()) {
          const stay = stays.get(sid)
          if (stay === undefined || stay.hasGap || stay.isBefore) continue
          const { numbers: due, tail } = expected(log.history, stay)
          const got = heard.map(numberOf).filter((n) => logged.has(n))
          tally.heard += got.length
          const at = got.findIndex((n, at) => n !== due[at] && !tail.has(n))
          // A change of rooms that is not in the log: its session is over with the connection.
          if (at >= 0 && process.env["DEBUG_LOG"])
            console.log(
              sid,
              stay,
              JSON.stringify(got),
              JSON.stringify(due),
              log.history
                .slice(stay.start)
                .map(({ index, uid, namespace, message }) => `${index} ${uid} ${namespace} ${JSON.stringify(message)}`)
                .join("\n")
            )
          if (at >= 0) faults.push(`${stay.namespace} ${sid}: ${got[at]} instead of ${due[at]}`)
          const isComplete = i === socket.stays.length - 1 && socket.isConnected && isThere()
          if (isComplete && got.length < due.length)
            faults.push(`${stay.namespace} ${sid}: ${due[got.length]} is missing at the end`)
        }
      }
    }
    for (const model of models) model.stop()
    for (const { node } of servers) node.die()
    for (const { scope } of servers) yield* Scope.close(scope, Exit.void)
    assert.deepStrictEqual(faults, [], faults.join("; ") + JSON.stringify({ isTight, isLossy, isDeadly }))
  }).pipe(Effect.provide(Logger.layer([])))
