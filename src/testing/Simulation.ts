/**
 * Deterministic simulation: the server and the clients that run in production run in a world of
 * their own. Time, the order of simultaneous events, the network and every random number come from
 * one seed. A failure with a seed happens again with that seed, in the same way.
 *
 * Only two things take time in this world: the latency of the network, and sleeping. When no fiber
 * can go on, the clock moves to the next timer; minutes take milliseconds. The next fiber is drawn
 * from those that can go on, so every seed is another interleaving.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"

import type * as SocketIoClient from "../client/SocketIoClient.ts"
import { RandomBytes } from "../engine/SessionId.ts"
import type * as SocketIoServer from "../server/SocketIoServer.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { Wires } from "./internal/wires.ts"
import { World } from "./internal/world.ts"
import { type Report, SimulationFailed, Stuck, type StuckReason } from "./SimulationReport.ts"
import { layerObserved, type TestOptions, type TestSocketIo } from "./TestSocketIo.ts"

export { type Networked, type OutageOptions, outages, partition } from "./SimulationOutages.ts"

export { type Report, SimulationFailed, Stuck, type StuckReason } from "./SimulationReport.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface SimulationShape {
  readonly seed: number
  /** @internal */
  readonly world: World
  /** @internal */
  readonly wires: Wires
}

/**
 * The world in which an effect runs.
 *
 * @since 0.1.0
 * @category services
 */
export class Simulation extends Context.Service<Simulation, SimulationShape>()("effect-socket.io/testing/Simulation") {}

/**
 * Limits of a simulation.
 *
 * @since 0.1.0
 * @category options
 */
export interface SimulationLimits {
  /** The time that may pass in the world before the simulation is given up. Default: 1 hour. */
  readonly maxTime?: Duration.Input
  /** The number of tasks that may run before the simulation is given up. Default: 1,000,000. */
  readonly maxTasks?: number
  /**
   * The time that may pass in the world after the effect's end until everything has ended. Default:
   * 2 minutes.
   */
  readonly settleTime?: Duration.Input
  /** The number of lines of the trace that are kept: the last ones. Default: 200. */
  readonly maxTrace?: number
}

/**
 * Options of one simulation.
 *
 * @since 0.1.0
 * @category options
 */
export interface SimulationOptions extends SimulationLimits {
  /** Any whole number. The same seed makes the same world. */
  readonly seed: number
}

/** The tasks that run in one turn of the host. */
const SLICE = 1_000

/**
 * Runs an effect in a world of its own, in a scope that closes with it, and reports the result.
 * After its end the networks work again, and the world goes on until nothing is left to do, up to
 * `settleTime`. Everything that is still left by then has leaked.
 *
 * Clock, Scheduler and Random are the world's, and the ids of sessions and sockets are made of its
 * random numbers. The effect may await promises only if nothing outside of the world settles them.
 * Code that reads the real time or `Math.random` differs between runs. It never fails. Interruption
 * abandons the world: finalizers in it are not run.
 *
 * **Example** (One run)
 *
 * ```ts
 * const report = yield* Simulation.run({ seed: 42 }, scenario)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = <A, E, R>(
  options: SimulationOptions,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Report<A, E>, never, Exclude<R, Simulation | Scope.Scope>> =>
  // The context is untyped inside: it has all services but the two that are provided here.
  Effect.contextWith((outer: Context.Context<any>) =>
    Effect.callback<Report<A, E>>((resume) => {
      const { maxTasks = 1_000_000, maxTime = "1 hour", maxTrace = 200, seed, settleTime = "2 minutes" } = options
      const world = new World(seed, maxTrace)
      const wires = new Wires(world)
      const context = outer.pipe(
        Context.add(Scheduler.Scheduler, world),
        Context.add(Clock.Clock, world),
        Context.add(Random.Random, world.effects.random),
        Context.add(RandomBytes, (bytes) => world.ids.fill(bytes)),
        Context.add(Metric.FiberRuntimeMetrics, {
          recordFiberStart: () => void world.fibers++,
          recordFiberEnd: () => void world.fibers--
        }),
        Context.add(Simulation, { seed, world, wires })
      )
      const host = Context.get(outer, Scheduler.Scheduler).makeDispatcher()
      let exit: Exit.Exit<A, E | Stuck> | undefined
      let end = toNanos(maxTime)
      let abandoned = false
      let idle = 0

      const waiting = () => {
        const { fibers, pending } = world
        return [
          ...(fibers === 0 ? [] : [`${fibers} fibers`]),
          ...(pending === 0 ? [] : [`${pending} timers`]),
          ...wires.rest
        ]
      }
      const finish = (exit: Exit.Exit<A, E | Stuck>, leaks: ReadonlyArray<string> = []) => {
        abandoned = true
        const { hash, now, tasks, trace } = world
        resume(Effect.succeed({ seed, exit, hash, trace, tasks, elapsed: Duration.millis(now / 1e6), leaks }))
      }
      const giveUp = (_tag: StuckReason["_tag"]) =>
        finish(exit ?? Exit.fail(new Stuck({ reason: { _tag }, waiting: waiting() })), exit && waiting())
      const turn = (): void => {
        if (abandoned) return
        try {
          if (world.step()) {
            idle = 0
            if (world.tasks >= maxTasks) return giveUp("TooManyTasks")
            // Work that was deferred to the end of the task comes before the next task.
            return world.tasks % SLICE === 0 ? host.scheduleTask(turn, 0) : queueMicrotask(turn)
          }
          // Promises need a turn of the host to go on.
          if (idle++ === 0) return host.scheduleTask(turn, 0)
          const next = world.nextTimer
          if (next === undefined) return giveUp("Deadlock")
          if (next > end) return giveUp("TooMuchTime")
          world.advance()
        } catch (defect) {
          // Nothing else would catch the defect.
          return finish(Exit.die(defect))
        }
        queueMicrotask(turn)
      }
      const main = Effect.runForkWith(context)(Effect.scoped(effect) as Effect.Effect<A, E, any>)
      main.addObserver((ended) => {
        exit = ended
        world.note(Exit.isSuccess(ended) ? "the end" : `the end: ${Cause.pretty(ended.cause).split("\n", 1)[0]}`)
        end = world.now + toNanos(settleTime)
        world.makeDispatcher().scheduleTask(() => wires.calm(), 0)
      })
      host.scheduleTask(turn, 0)
      return Effect.sync(() => {
        abandoned = true
      })
    })
  )

const toNanos = (duration: Duration.Input): number => Duration.toMillis(duration) * 1e6

/**
 * The seeds to try.
 *
 * @since 0.1.0
 * @category options
 */
export interface CheckOptions extends SimulationLimits {
  /** A number of seeds, counted from `from`, or the seeds themselves. */
  readonly seeds: number | Iterable<number>
  /** The first seed. Default: 0. */
  readonly from?: number
}

/**
 * Runs an effect with one seed after the other, each in a world of its own (see {@link run}). Fails
 * with {@link SimulationFailed} at the first seed with which the effect fails, does not end, or
 * leaks something.
 *
 * **Example** (A test with 200 seeds)
 *
 * ```ts
 * it.live("counts right whatever happens", () => Simulation.check({ seeds: 200 }, scenario))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const check = <A, E, R>(
  { from = 0, seeds, ...limits }: CheckOptions,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<void, SimulationFailed, Exclude<R, Simulation | Scope.Scope>> =>
  Effect.forEach(
    typeof seeds === "number" ? Array.from({ length: seeds }, (_, i) => from + i) : seeds,
    (seed) =>
      Effect.flatMap(run({ ...limits, seed }, effect), (report) =>
        Exit.isFailure(report.exit) || report.leaks.length > 0
          ? Effect.fail(new SimulationFailed({ report }))
          : Effect.void
      ),
    { discard: true }
  )

/**
 * Options of a simulated server, its client, and the networks between clients and server.
 *
 * @since 0.1.0
 * @category options
 */
export interface SimulatedOptions extends TestOptions {
  /**
   * The time that sent data is on its way. It is drawn anew for every message, but the messages of
   * one connection and direction arrive in their order. Default: 1 to 50 milliseconds.
   */
  readonly latency?: readonly [min: Duration.Input, max: Duration.Input]
  /**
   * The probability that a message is lost together with its connection, which both sides notice.
   * Default: 0.
   */
  readonly resetRate?: number
  /**
   * The probability that a message, and everything after it in its direction, never arrives, and
   * neither side notices. Default: 0.
   */
  readonly halfOpenRate?: number
}

/**
 * The same as `TestSocketIo.layer`, on simulated networks: messages take their time, and
 * connections break. With `deliver` the test decides how sent data arrives; the options of the
 * networks have no effect then.
 *
 * Closing the layer's scope closes the client and then the server, which takes up to its
 * `drainTimeout` in the world's time.
 *
 * **Gotchas**
 *
 * The layer needs a {@link Simulation}: run it within {@link run} or {@link check}. Connections may
 * break during the scenario, so retry where it waits for an answer.
 *
 * **Example** (A chat over bad networks)
 *
 * ```ts
 * const World = ChatLive.pipe(
 *   Layer.provideMerge(Simulation.layer({ latency: [1, 200], resetRate: 0.01 }))
 * )
 *
 * const scenario = Effect.gen(function* () {
 *   const chat = yield* SocketIoClient.connect(Chat)
 *   yield* chat.emit("say", "hello")
 *   yield* Simulation.calm
 * }).pipe(Effect.provide(World))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: SimulatedOptions = {}
): Layer.Layer<
  SocketIoServer.SocketIoServer | SocketIoClient.SocketIoClient | TestSocketIo,
  InvalidOptionError,
  Simulation
> =>
  Layer.unwrap(
    Effect.map(Simulation, ({ wires }) => {
      const { halfOpenRate = 0, latency = [1, 50], resetRate = 0, ...others } = options
      const [min, max] = latency.map((duration) => Duration.toMillis(duration))
      const deliver = wires.deliver({ halfOpenRate, latency: [min!, max!], resetRate })
      return layerObserved({ deliver, ...others }, wires)
    })
  )

/**
 * Stops all faults from now on: all networks work, connections that are half-open are reset, and no
 * more connections are lost. Latency stays. Use it at the end of a scenario, before you check the
 * final state.
 *
 * @since 0.1.0
 * @category accessors
 */
export const calm: Effect.Effect<void, never, Simulation> = Effect.map(Simulation, ({ wires }) => wires.calm())

/**
 * Writes a line into the trace. It is a part of the hash.
 *
 * @since 0.1.0
 * @category accessors
 */
export const note = (line: string): Effect.Effect<void, never, Simulation> =>
  Effect.map(Simulation, ({ world }) => world.note(line))
