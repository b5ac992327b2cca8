/**
 * Calls and streams of clients whose networks fail in every way. Each call ends once, each request is handled at most once,
 * streams have neither gaps nor repetitions, and nothing is left.
 */
import { Effect, Exit, Fiber, Layer, Logger, Random, Schedule, Schema, Scope, Stream } from "effect"
import { Rpc, RpcClient, RpcGroup, RpcServer } from "effect/rpc"

import * as SocketIoRpcClient from "../../src/rpc/SocketIoRpcClient.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

class Group extends RpcGroup.make(
  Rpc.make("Ask", { payload: { n: Schema.String, millis: Schema.Int }, success: Schema.String }),
  Rpc.make("Numbers", {
    payload: { n: Schema.String, count: Schema.Int, millis: Schema.Int },
    success: Schema.Int,
    stream: true
  })
) {}

/** Counts the events in all worlds, to see that there were enough. */
export const makeTally = () => ({ calls: 0, succeeded: 0, failed: 0, interrupted: 0, outlived: 0, recoveries: 0 })

export type Tally = ReturnType<typeof makeTally>

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]] as const

const below = (bound: number) => Effect.map(Random.next, (random) => Math.floor(random * bound))
const oneOf = <A>(values: ReadonlyArray<A>) => Effect.map(below(values.length), (at) => values[at]!)
const pause = (millis: number) => Effect.flatMap(below(millis), (n) => Effect.sleep(n))

export const scenario = (tally: Tally) =>
  Effect.gen(function* () {
    const complaints: Array<string> = []
    const complain = (what: string) => void complaints.push(what)
    const handled = new Map<string, number>()
    const running = new Set<string>()
    /** A handler begins. */
    const enter = (n: string) =>
      Effect.sync(() => {
        const times = (handled.get(n) ?? 0) + 1
        handled.set(n, times)
        if (times > 1) complain(`${n} is handled ${times} times`)
        running.add(n)
      })
    const leave = (n: string) => Effect.sync(() => void running.delete(n))

    const handlers = Group.toLayer({
      Ask: ({ millis, n }) =>
        Effect.acquireUseRelease(
          enter(n),
          () => Effect.as(Effect.sleep(millis), n),
          () => leave(n)
        ),
      Numbers: ({ count, millis, n }) =>
        Stream.unwrap(
          Effect.as(
            Effect.acquireRelease(enter(n), () => leave(n)),
            Stream.range(1, count).pipe(
              Stream.rechunk(1),
              Stream.tap(() => Effect.sleep(millis))
            )
          )
        )
    })

    const recovery = (yield* below(4)) > 0
    const clients = 1 + (yield* below(2))
    const weather = {
      recovery,
      clients,
      maxDisconnection: yield* oneOf(["3 seconds", "20 seconds"] as const),
      window: yield* oneOf([1, 2, 16]),
      latency: [1, yield* oneOf([2, 50, 400])] as [number, number],
      resetRate: yield* oneOf([0, 0, 0.02]),
      halfOpenRate: yield* oneOf([0, 0, 0.01])
    }
    yield* Simulation.note(JSON.stringify(weather))
    const { halfOpenRate, latency, maxDisconnection, resetRate, window } = weather
    const world = RpcServer.layer(Group).pipe(
      Layer.provide(handlers),
      Layer.provide(SocketIoRpcServer.layerProtocol("/rpc", { window })),
      Layer.provideMerge(
        Simulation.layer({
          halfOpenRate,
          latency,
          resetRate,
          ...(recovery && { recovery: { maxDisconnection } }),
          heartbeat: { pingInterval: "5 seconds", pingTimeout: "4 seconds" },
          upgrade: { timeout: "3 seconds" },
          drainTimeout: "5 seconds"
        })
      )
    )

    /** The calls of one client. It ends when all of its calls have ended. */
    const talk = Effect.fnUntraced(function* (
      who: string,
      client: TestSocketIo.TestClient,
      calm: Effect.Effect<void, never, Simulation.Simulation>
    ) {
      const socket = yield* client.socket("/rpc")
      let sessions = 0
      let outages = 0
      yield* socket.onStatus((status) =>
        Effect.sync(() => {
          if (status._tag === "Disconnected") outages++
          if (status._tag !== "Connected") return
          if (status.recovered) tally.recoveries++
          else sessions++
        })
      )
      const protocol = yield* SocketIoRpcClient.protocolOf(socket)
      const rpcs = yield* RpcClient.make(Group).pipe(Effect.provideService(RpcClient.Protocol, protocol))
      const fibers: Array<Fiber.Fiber<unknown>> = []

      /** Follows a call to its end. */
      const follow = (n: string, call: Effect.Effect<unknown, any>) =>
        Effect.gen(function* () {
          tally.calls++
          const before = outages
          const exit = yield* Effect.exit(call)
          const times = handled.get(n) ?? 0
          if (Exit.isSuccess(exit)) {
            tally.succeeded++
            if (outages > before) tally.outlived++
            if (times !== 1) complain(`${n} has succeeded, and was handled ${times} times`)
            return
          }
          if (Exit.hasInterrupts(exit)) return void tally.interrupted++
          const error = Exit.findErrorOption(exit)
          if (error._tag === "None" || error.value._tag !== "RpcClientError") {
            return complain(`${n} has ended with ${String(exit)}`)
          }
          tally.failed++
          // With recovery, only the end of the session ends its calls.
          if (recovery && sessions < 2 && socket.connected) complain(`${n} has failed: ${String(exit)}`)
        })

      const ask = (n: string, millis: number) =>
        Effect.map(rpcs.Ask({ n, millis }), (answer) => {
          if (answer !== n) complain(`${n} was answered with ${answer}`)
        })
      const read = (n: string, count: number, millis: number, slow: number) => {
        let last = 0
        return rpcs.Numbers({ n, count, millis }).pipe(
          Stream.runForEach((number) =>
            Effect.andThen(
              Effect.sync(() => {
                if (number !== ++last) complain(`${n} gives ${number} as number ${last}`)
              }),
              slow > 0 ? Effect.sleep(slow) : Effect.void
            )
          ),
          Effect.andThen(
            Effect.sync(() => {
              if (last !== count) complain(`${n} ends after ${last} of ${count}`)
            })
          )
        )
      }

      for (let i = 0; i < 12; i++) {
        const n = `${who}, call ${i}`
        const millis = yield* below(3_000)
        const call =
          (yield* below(2)) === 0
            ? ask(n, millis)
            : read(n, 1 + (yield* below(40)), millis >> 5, yield* oneOf([0, 0, 100]))
        const isLimited = (yield* below(4)) === 0
        const endless = isLimited && (yield* below(2)) === 0 ? ask(n, 3_600_000) : call
        const limited = isLimited ? Effect.raceFirst(endless, Effect.andThen(pause(2_000), Effect.interrupt)) : call
        fibers.push(yield* Effect.forkChild(follow(n, limited), { startImmediately: true }))
        yield* pause(1_500)
      }
      yield* calm
      yield* Fiber.awaitAll(fibers)
      // Sessions that it has lost end, and the server hears of the calls that were interrupted during an outage.
      yield* Effect.sleep("1 minute")
      const left = Array.from(running).filter((n) => n.startsWith(who))
      if (left.length > 0) complain(`still handled: ${left.join("; ")}`)
    })

    yield* Effect.gen(function* () {
      const peers = yield* Effect.forEach(Array.from({ length: clients }), () =>
        Effect.flatMap(oneOf(TRANSPORTS), (transports) =>
          TestSocketIo.makeClient({
            transports,
            reconnection: Schedule.spaced("700 millis"),
            connectTimeout: "4 seconds"
          })
        )
      )
      const outages = yield* Scope.make()
      yield* Simulation.outages(peers, { every: "6 seconds", lasting: "12 seconds" }).pipe(Scope.provide(outages))
      let talking = clients
      const calm = Effect.suspend(() =>
        --talking > 0 ? Effect.void : Effect.andThen(Scope.close(outages, Exit.void), Simulation.calm)
      )
      yield* Effect.forEach(peers, (peer, i) => Effect.scoped(talk(`client ${i}`, peer, calm)), {
        concurrency: "unbounded"
      })
      // The clients have left: the server sees that in its time.
      yield* Effect.sleep("1 minute")
      if (running.size > 0) complain(`still handled: ${Array.from(running).join("; ")}`)
    }).pipe(Effect.provide(world), Effect.provide(Logger.layer([])))
    if (complaints.length > 0) return yield* Effect.die(new Error(complaints.join("\n")))
  }).pipe(Effect.scoped)
