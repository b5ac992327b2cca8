/**
 * Clients that talk, in rooms and alone, while everything happens to their networks: what is checked is in `ledger.ts`.
 */
import { type Duration, Effect, Exit, Fiber, Layer, Logger, Random, Result, Schedule, Scope, Stream } from "effect"

import type { ClientSocket } from "../../../src/client/ClientSocket.ts"
import * as RetryingEmitter from "../../../src/client/RetryingEmitter.ts"
import type * as Namespace from "../../../src/Namespace.ts"
import type { ServerSocket } from "../../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../../src/server/SocketIoServer.ts"
import { AckError } from "../../../src/SocketIoError.ts"
import * as Simulation from "../../../src/testing/Simulation.ts"
import * as TestSocketIo from "../../../src/testing/TestSocketIo.ts"
import { Ledger, type Stay } from "./ledger.ts"

/** The faults, and the amount of traffic. */
export interface Weather {
  readonly clients: number
  /** The steps of each client, one after the other. */
  readonly actions: number
  readonly latency: readonly [min: Duration.Input, max: Duration.Input]
  readonly resetRate: number
  readonly halfOpenRate: number
  readonly outages: boolean
}

const ROOMS = ["red", "green"]
const NAMESPACES = ["/", "/side"]

const below = (bound: number) => Effect.map(Random.next, (random) => Math.floor(random * bound))
const oneOf = <A>(values: ReadonlyArray<A>) => Effect.map(below(values.length), (at) => values[at]!)
const pause = (millis: number) => Effect.flatMap(below(millis), (n) => Effect.sleep(n))

/** The weather is drawn, too. */
export const anyWeather: Effect.Effect<Weather> = Effect.gen(function* () {
  return {
    clients: 1 + (yield* below(3)),
    actions: 5 + (yield* below(15)),
    latency: [1, yield* oneOf([2, 50, 400])],
    resetRate: yield* oneOf([0, 0, 0.02]),
    halfOpenRate: yield* oneOf([0, 0, 0.01]),
    outages: yield* Random.nextBoolean
  }
})

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"], ["websocket", "polling"]] as const

/** A namespace whose handlers keep the ledger. */
const serve = (ledger: Ledger, namespace: string) =>
  SocketIoServer.layerNamespace(
    namespace,
    Effect.fnUntraced(function* (socket) {
      const { plain } = yield* Effect.all({ plain: SocketIoServer.namespace(namespace) })
      const who = `${String(socket.handshake.auth["client"])}${namespace}`
      const stay = ledger.admit(socket.id, who)
      yield* socket.onDisconnecting((reason) => Effect.sync(() => ledger.onEnding(stay, reason)))
      yield* Effect.addFinalizer(() => Effect.sync(() => void (stay.state = "gone")))
      const on = (event: string, handle: (...args: ReadonlyArray<any>) => Effect.Effect<unknown, unknown>) =>
        socket.on(event, (...args) => {
          ledger.onHandler(stay, event)
          return handle(...args)
        })
      let ticks = 0
      const tick = send(ledger, stay, socket, () => `tick ${ticks++}`)

      yield* on("say", (n: number) => {
        ledger.onHeard(stay, n)
        return n % 3 === 0 ? Effect.as(pause(300), n) : Effect.succeed(n)
      })
      yield* on("join", (room: string) =>
        Effect.andThen(
          socket.join(room),
          Effect.sync(() => stay.state === "here" && stay.rooms.add(room))
        )
      )
      yield* on("leave", (room: string) =>
        Effect.andThen(
          socket.leave(room),
          Effect.sync(() => stay.rooms.delete(room))
        )
      )
      yield* on("cast", (room: string, text: string) =>
        Effect.suspend(() => {
          for (const member of ledger.members(room)) if (member.who.endsWith(namespace)) ledger.onSent(member, text)
          return plain.to(room).emit("news", text)
        })
      )
      yield* on("tick", () => Effect.repeat(tick, { times: 2 }))
      yield* on("ask", (n: number) =>
        Effect.gen(function* () {
          // Asked for, it is sent like everything else.
          ledger.onSent(stay, `question ${n}`)
          const answer = yield* Effect.exit(socket.emitWithAck("news", `question ${n}`))
          checkAnswer(ledger, who, answer, n)
        })
      )
      yield* on("order", (n: number) => Effect.sync(() => ledger.onOrder(who, n)))
      yield* on("poll", (room: string, n: number) =>
        Effect.gen(function* () {
          const question = `question ${n}`
          const asked = ledger.members(room).filter((member) => member.who.endsWith(namespace))
          for (const member of asked) ledger.onSent(member, question)
          const answers = yield* Stream.runCollect(plain.to(room).emitWithAck("news", question))
          if (answers.length > asked.length) ledger.complain(`${answers.length} answers of ${asked.length} members`)
          for (const { response, sid } of answers) {
            const answer = Result.getOrElse(response, () => [])[0]
            if (answer !== n) ledger.complain(`${sid} answers ${String(answer)} to ${n}`)
          }
        })
      )
      yield* on("whisper", (n: number) => Effect.sync(() => ledger.onWhisper(stay, n)))
      yield* on("move", (room: string, to: string) =>
        Effect.suspend(() => {
          const moved = ledger.members(room).filter((member) => member.who.endsWith(namespace))
          for (const member of moved) member.rooms.add(to).delete(room === to ? "" : room)
          return Effect.andThen(
            plain.to(room).socketsJoin(to),
            room === to ? Effect.void : plain.to(room).socketsLeave(room)
          )
        })
      )
      yield* on("expel", (room: string) => plain.to(room).disconnectSockets())
      yield* on("bye", (close: boolean) => socket.disconnect({ close }))
      yield* tick
    })
  )

/** Sends to one socket, if it is connected. */
const send = (ledger: Ledger, stay: Stay, socket: ServerSocket<Namespace.Untyped>, what: () => string) =>
  Effect.suspend(() => {
    if (!socket.connected) return Effect.void
    const text = what()
    ledger.onSent(stay, text)
    return socket.emit("news", text)
  })

/** An acknowledgement is of what was asked, or the connection was lost. */
const checkAnswer = (ledger: Ledger, who: string, exit: Exit.Exit<ReadonlyArray<unknown>, AckError>, n: number) => {
  if (Exit.isSuccess(exit)) {
    if (exit.value[0] !== n) ledger.complain(`${who} was answered ${String(exit.value[0])}, not ${n}`)
  } else if (!Exit.hasInterrupts(exit)) {
    const error = Exit.findErrorOption(exit)
    const reason = error._tag === "Some" && error.value instanceof AckError ? error.value.reason._tag : String(exit)
    if (reason !== "Disconnected") ledger.complain(`the answer to ${n} of ${who} failed: ${reason}`)
  }
}

/** The steps of one client in one namespace. */
const talk = Effect.fnUntraced(function* (
  ledger: Ledger,
  socket: ClientSocket<Namespace.Untyped>,
  who: string,
  { actions }: Weather
) {
  let said = 0
  let asked = 0
  let cast = 0
  let orders = 0
  let whispered = 0
  const retrying = yield* Effect.orDie(RetryingEmitter.make(socket, { retries: Infinity, ackTimeout: "3 seconds" }))
  yield* socket.onAny((_event, [what]) =>
    Effect.sync(() => {
      if (!socket.connected) ledger.complain(`${who} received "${String(what)}" while it was not connected`)
      ledger.onReceived(socket.id, who, String(what))
    })
  )
  yield* socket.respond("news", (what) => Effect.succeed(Number(String(what).split(" ")[1])))
  const waiting: Array<Fiber.Fiber<unknown, unknown>> = []
  const scope = yield* Effect.scope
  const fork = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.map(Effect.forkIn(effect, scope, { startImmediately: true }), (fiber) => void waiting.push(fiber))

  const deeds: ReadonlyArray<() => Effect.Effect<unknown>> = [
    () => socket.emit("say", said++),
    () => {
      const n = said++
      return fork(Effect.map(Effect.exit(socket.emitWithAck("say", n)), (exit) => checkAnswer(ledger, who, exit, n)))
    },
    () =>
      Effect.repeat(
        Effect.suspend(() => socket.emit("say", said++)),
        { times: 4 }
      ),
    () => Effect.flatMap(oneOf(ROOMS), (room) => socket.emit("join", room)),
    () => Effect.flatMap(oneOf(ROOMS), (room) => socket.emit("leave", room)),
    () => Effect.flatMap(oneOf(ROOMS), (room) => socket.emit("cast", room, `${who} ${cast++}`)),
    () => Effect.flatMap(oneOf(ROOMS), (room) => socket.emit("poll", room, asked++)),
    () => Effect.flatMap(Effect.all([oneOf(ROOMS), oneOf(ROOMS)]), ([room, to]) => socket.emit("move", room, to)),
    () => Effect.flatMap(oneOf([...ROOMS, "empty"]), (room) => socket.emit("expel", room)),
    () =>
      Effect.repeat(
        Effect.suspend(() => socket.volatile.emit("whisper", whispered++)),
        { times: 2 }
      ),
    () => socket.emit("say", said++, new Uint8Array([1, 2, 3]), [new Uint8Array(0)]),
    () => socket.emit("tick"),
    () => socket.emit("ask", asked++),
    () => {
      const n = orders++
      return fork(
        Effect.map(Effect.exit(retrying.emit("order", n)), (exit) => {
          if (Exit.isFailure(exit) && !Exit.hasInterrupts(exit)) ledger.complain(`order ${n} of ${who} has failed`)
          else if (Exit.isSuccess(exit) && !ledger.orders.get(who)?.includes(n)) {
            ledger.complain(`order ${n} of ${who} was acknowledged and never came`)
          }
        })
      )
    },
    () => Effect.andThen(socket.disconnect(), Effect.andThen(pause(500), fork(Effect.exit(socket.reconnect())))),
    () => Effect.flatMap(Random.nextBoolean, (close) => Effect.andThen(socket.emit("bye", close), pause(1_000))),
    () => pause(5_000)
  ]
  for (let i = 0; i < actions; i++) {
    yield* (yield* oneOf(deeds))()
    yield* pause(200)
  }
  return {
    socket,
    who,
    goOn: Effect.andThen(
      Effect.suspend(() => socket.emit("say", said++)),
      pause(50)
    ),
    /** Nothing is on its way any more. */
    settled: Effect.suspend(() => Fiber.awaitAll(waiting))
  }
})

/** Every log line at level Error is an error. */
const logged = (ledger: Ledger) =>
  Logger.layer([
    Logger.make(({ cause, logLevel, message }) => {
      if (logLevel === "Error" || logLevel === "Fatal") ledger.complain(`${String(message)} ${String(cause)}`)
    })
  ])

/** A conversation from its beginning to its end. */
export const conversation = Effect.gen(function* () {
  const ledger = new Ledger()
  const weather = yield* anyWeather
  const { halfOpenRate, latency, resetRate } = weather
  yield* Simulation.note(JSON.stringify(weather))
  const world = Layer.mergeAll(
    ...(NAMESPACES.map((namespace) => serve(ledger, namespace)) as [
      Layer.Layer<never, never, SocketIoServer.SocketIoServer>
    ])
  ).pipe(
    Layer.provideMerge(
      Simulation.layer({
        halfOpenRate,
        latency,
        resetRate,
        heartbeat: { pingInterval: "5 seconds", pingTimeout: "4 seconds" },
        upgrade: { timeout: "3 seconds" },
        drainTimeout: "5 seconds"
      })
    )
  )
  yield* Effect.gen(function* () {
    const clients = yield* Effect.forEach(
      Array.from({ length: weather.clients }, (_, i) => i),
      () =>
        Effect.flatMap(oneOf(TRANSPORTS), (transports) =>
          TestSocketIo.makeClient({
            transports,
            reconnection: Schedule.spaced("700 millis"),
            connectTimeout: "4 seconds"
          })
        )
    )
    const talks = Effect.forEach(
      clients,
      (client, i) =>
        Effect.forEach(
          i % 2 === 0 ? NAMESPACES : ["/"],
          Effect.fnUntraced(function* (namespace) {
            const name = `client ${i}`
            const socket = yield* client.socket(namespace, { auth: { client: name } })
            return yield* talk(ledger, socket, `${name}${namespace}`, weather)
          }),
          { concurrency: "unbounded" }
        ),
      { concurrency: "unbounded" }
    )
    // The sockets stay when the outages end.
    const scope = yield* Effect.scope
    const ends = yield* Effect.scoped(
      Effect.gen(function* () {
        if (weather.outages) yield* Simulation.outages(clients, { every: "4 seconds" })
        return yield* Effect.provideService(talks, Scope.Scope, scope)
      })
    )
    yield* Simulation.calm
    // Half a minute for what nobody has noticed yet; then whoever was sent away comes back.
    yield* Effect.sleep("30 seconds")
    const all = ends.flat()
    const stay = Effect.forEach(all, ({ socket }) => Effect.ignore(socket.reconnect()), { concurrency: "unbounded" })
    // Packets that have waited for the connection may send them away again.
    yield* Effect.repeat(Effect.andThen(stay, Effect.sleep("2 seconds")), {
      while: () => all.some(({ socket }) => !socket.connected)
    })
    yield* Effect.forEach(all, ({ settled }) => settled, { discard: true })
    yield* Effect.sleep("5 seconds")

    for (const { socket, who } of all) ledger.onQuiet(socket.id, who)
    for (const namespace of NAMESPACES) {
      const handle = yield* SocketIoServer.namespace(namespace)
      const sockets = yield* handle.sockets
      for (const { id, rooms } of sockets) ledger.onRooms(id, rooms)
      const here = new Set(all.map(({ socket }) => socket.id))
      const ghosts = sockets.filter(({ id }) => !here.has(id))
      for (const { id } of ghosts) ledger.complain(`nobody knows that ${ledger.stays.get(id)?.who} is in ${namespace}`)
      for (const room of ROOMS) {
        const members = yield* handle.to(room).fetchSockets
        ledger.onMembers(
          room,
          namespace,
          members.map(({ id }) => id)
        )
        const text = `goodbye to ${room}`
        for (const member of ledger.members(room)) if (member.who.endsWith(namespace)) ledger.onSent(member, text)
        yield* handle.to(room).emit("news", text)
      }
    }
    yield* Effect.sleep("2 seconds")
    for (const { socket, who } of all) ledger.onQuiet(socket.id, who)
    yield* ledger.verdict
    // The server's end comes while some go on talking.
    if (yield* Random.nextBoolean) {
      yield* Effect.forEach(all, ({ goOn }) => Effect.forkIn(Effect.forever(goOn), scope, { startImmediately: true }))
      yield* pause(300)
    }
  }).pipe(Effect.provide(Layer.provideMerge(world, logged(ledger))))
  const left = Array.from(ledger.stays.values()).filter(({ state }) => state !== "gone")
  for (const { who } of left) ledger.complain(`${who} has no end`)
  yield* ledger.verdict
})
