/**
 * The worlds in which simulations run.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"

import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Layer, Random, Ref, Schedule, Stream } from "effect"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { root } from "../support/sources.ts"
import { conversation } from "./scenarios/conversation.ts"

const Echo = SocketIoServer.layerNamespace("/", (socket) => socket.on("echo", (n) => Effect.succeed(n)))

const echoing = (options: Simulation.SimulatedOptions = {}) =>
  Effect.provide(
    Layer.provideMerge(Echo, Simulation.layer({ heartbeat: { pingInterval: 5_000, pingTimeout: 5_000 }, ...options }))
  )

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

/** Effects that mean themselves, with nothing of a server. */
const bare = <A, E>(effect: Effect.Effect<A, E, any>, options: Partial<Simulation.SimulationOptions> = {}) =>
  Simulation.run({ seed: 1, ...options }, effect)

describe("a simulation", () => {
  it.live("goes the same way for the same seed, bit for bit", () =>
    Effect.gen(function* () {
      const hashes = new Set<string>()
      for (const seed of range(40)) {
        const [one, two] = [
          yield* Simulation.run({ seed }, conversation),
          yield* Simulation.run({ seed }, conversation)
        ]
        assert.isTrue(Exit.isSuccess(one.exit))
        assert.deepStrictEqual(two, one)
        hashes.add(one.hash)
      }
      assert.strictEqual(hashes.size, 40)
    })
  )

  it("goes the same way in another process, whatever has been there before it", { timeout: 60_000 }, async () => {
    const script = `
      import { Effect } from "effect"
      import * as Simulation from "./src/testing/Simulation.ts"
      import { conversation } from "./test/testing/scenarios/conversation.ts"
      const hashes = []
      for (const seed of [7, 3, 5]) hashes.push((await Effect.runPromise(Simulation.run({ seed }, conversation))).hash)
      console.log(JSON.stringify(hashes))`
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { cwd: root })
    const here = await Effect.runPromise(
      Effect.forEach([3, 5, 7], (seed) => Effect.map(Simulation.run({ seed }, conversation), ({ hash }) => hash))
    )
    assert.deepStrictEqual(JSON.parse(stdout), [here[2], here[0], here[1]])
  })

  it.live("draws which of the fibers that are ready goes on, and every order comes", () =>
    Effect.gen(function* () {
      const orders = new Set<string>()
      for (const seed of range(60)) {
        const { exit } = yield* bare(
          Effect.gen(function* () {
            const order = yield* Ref.make("")
            const step = (name: string) =>
              Effect.andThen(
                Effect.yieldNow,
                Ref.update(order, (text) => text + name)
              )
            yield* Effect.forEach(["a", "b", "c"], step, { concurrency: "unbounded" })
            return yield* Ref.get(order)
          }),
          { seed }
        )
        if (Exit.isSuccess(exit)) orders.add(exit.value)
      }
      assert.deepStrictEqual([...orders].toSorted(), ["abc", "acb", "bac", "bca", "cab", "cba"])
    })
  )

  it.live("takes its time and its random numbers from the world: an hour is over in a moment", () =>
    Effect.gen(function* () {
      const scenario = Effect.gen(function* () {
        const random = yield* Random.next
        yield* Effect.repeat(Effect.void, Schedule.spaced("1 minute").pipe(Schedule.upTo({ times: 60 })))
        return [random, yield* Clock.currentTimeMillis]
      })
      const [one, two, other] = yield* Effect.forEach([1, 1, 2], (seed) => bare(scenario, { seed, maxTime: "2 hours" }))
      assert.isTrue(Exit.isSuccess(one!.exit) && one!.exit.value[1] === 3_600_000)
      assert.deepStrictEqual(two, one)
      assert.notDeepEqual(other!.exit, one!.exit)
    })
  )

  it.live("says so when nothing can go on, when it takes too long and when it never stops", () =>
    Effect.gen(function* () {
      const stuck = Effect.fnUntraced(function* (effect: Effect.Effect<unknown>) {
        const { exit } = yield* bare(effect, { maxTasks: 10_000, maxTime: "1 minute" })
        const error = Exit.findErrorOption(exit)
        assert.isTrue(error._tag === "Some" && error.value instanceof Simulation.Stuck, String(exit))
        return (error as any).value as Simulation.Stuck
      })
      const deadlock = yield* stuck(Effect.flatMap(Deferred.make<void>(), Deferred.await))
      assert.strictEqual(deadlock.reason._tag, "Deadlock")
      assert.deepStrictEqual(deadlock.waiting, ["1 fibers"])
      assert.strictEqual((yield* stuck(Effect.sleep("2 minutes"))).reason._tag, "TooMuchTime")
      assert.strictEqual((yield* stuck(Effect.forever(Effect.yieldNow))).reason._tag, "TooManyTasks")
    })
  )

  it.live("waits for promises", () =>
    Effect.gen(function* () {
      const { exit } = yield* bare(
        Effect.promise(async () => {
          for (let i = 0; i < 10; i++) await Promise.resolve()
          return "kept"
        })
      )
      assert.deepStrictEqual(exit, Exit.succeed("kept"))
    })
  )

  it.live("reports what is left behind: fibers, timers, connections", () =>
    Effect.gen(function* () {
      const fiber = yield* bare(Effect.forkDetach(Effect.never))
      assert.deepStrictEqual(fiber.leaks, ["1 fibers"])
      const timer = yield* bare(Effect.forkDetach(Effect.sleep("1 day")))
      assert.deepStrictEqual(timer.leaks, ["1 fibers", "1 timers"])
      const ends = yield* bare(Effect.forkDetach(Effect.sleep("1 minute")))
      assert.deepStrictEqual(ends.leaks, [])
      const connection = yield* bare(Effect.asVoid(TestSocketIo.network).pipe(echoing()))
      assert.deepStrictEqual(connection.leaks, [])
    })
  )

  it.live("that fails says with which seed, and what came last", () =>
    Effect.gen(function* () {
      const scenario = Effect.gen(function* () {
        yield* Simulation.note("here it comes")
        const { seed } = yield* Simulation.Simulation
        if (seed === 3) return yield* Effect.die(new Error("seed three is bad"))
      })
      yield* Simulation.check({ seeds: 3 }, scenario)
      const error = yield* Effect.flip(Simulation.check({ seeds: 10 }, scenario))
      assert.strictEqual(error.report.seed, 3)
      assert.match(error.message, /seed 3 has failed after \d+ tasks.*seed three is bad/)
      assert.match(error.message, /0\.000 ms {2}here it comes\n {2}0\.000 ms {2}the end: Error: seed three is bad$/)
      const again = yield* Effect.flip(Simulation.check({ seeds: [3] }, scenario))
      assert.strictEqual(again.message, error.message)
    })
  )

  it.live("that fails by a leak says which", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Simulation.check({ seeds: 1 }, Effect.forkDetach(Effect.never)))
      assert.include(error.message, "it has not closed: 1 fibers")
    })
  )

  it.live("is abandoned when it is interrupted", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        Effect.timeout(bare(Effect.forever(Effect.yieldNow), { maxTasks: Infinity }), "20 millis")
      )
      assert.isTrue(Exit.isFailure(exit) && !Exit.hasDies(exit))
    })
  )
})

describe("a simulated network", () => {
  it.live("delays what it carries, keeps the order of a connection, and mixes connections", () =>
    Effect.gen(function* () {
      const arrivals = new Set<string>()
      for (const seed of range(20)) {
        const { exit } = yield* Simulation.run(
          { seed },
          Effect.gen(function* () {
            const order: Array<string> = []
            const { connect } = yield* TestSocketIo.makeClient()
            const [one, two] = [yield* SocketIoClient.connect("/"), yield* connect("/")]
            const tell = (socket: typeof one, name: string) =>
              Effect.forEach(
                range(5),
                (n) =>
                  Effect.map(socket.emitWithAck("echo", n), () => {
                    order.push(`${name}${n}`)
                  }),
                { concurrency: "unbounded" }
              )
            yield* Effect.all([tell(one, "a"), tell(two, "b")], { concurrency: 2 })
            return order
          }).pipe(echoing({ latency: [1, 100] }))
        )
        const order = Exit.isSuccess(exit) ? exit.value : []
        for (const name of ["a", "b"]) {
          assert.deepStrictEqual(
            order.filter((text) => text.startsWith(name)),
            range(5).map((n) => `${name}${n}`)
          )
        }
        arrivals.add(order.join())
      }
      assert.isAbove(arrivals.size, 10)
    })
  )

  const lives = (options: Simulation.SimulatedOptions) =>
    Simulation.run(
      { seed: 4, maxTrace: 10_000 },
      Effect.gen(function* () {
        const socket = yield* SocketIoClient.connect("/")
        yield* socket.status.pipe(
          Stream.filter(({ _tag }) => _tag === "Disconnected"),
          Stream.runForEach(() => Simulation.note("the client is disconnected")),
          Effect.forkScoped
        )
        const namespace = yield* SocketIoServer.namespace("/")
        yield* Effect.forkScoped(
          Stream.runForEach(namespace.disconnections(), () => Simulation.note("the server is disconnected"))
        )
        for (const n of range(100)) {
          yield* Effect.ignore(socket.emitWithAck("echo", n))
          yield* Effect.sleep(100)
        }
        yield* Simulation.calm
        yield* Effect.sleep("30 seconds")
        assert.deepStrictEqual(yield* socket.emitWithAck("echo", "at last"), ["at last"])
      }).pipe(echoing(options))
    )

  it.live("resets connections, which both ends notice at once", () =>
    Effect.gen(function* () {
      const { exit, leaks, trace } = yield* lives({ resetRate: 0.05 })
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      assert.deepStrictEqual(leaks, [])
      assert.isAbove(trace.filter((line) => line.endsWith("is reset")).length, 3)
    })
  )

  it.live("loses everything of a direction, which is noticed by heartbeats alone", () =>
    Effect.gen(function* () {
      const { exit, leaks, trace } = yield* lives({ halfOpenRate: 0.02 })
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      assert.deepStrictEqual(leaks, [])
      const lost = trace.findIndex((line) => line.includes("carries nothing"))
      assert.isAbove(lost, 0)
      for (const end of ["client", "server"]) {
        const noticed = trace.findIndex((line, at) => at > lost && line.endsWith(`the ${end} is disconnected`))
        const [from, to] = [lost, noticed].map((at) => Number.parseFloat(trace[at]!))
        // Pings come every five seconds, and are waited for for as long.
        assert.isAbove(to! - from!, 4_000, end)
        assert.isBelow(to! - from!, 11_000, end)
      }
    })
  )

  it.live("can be parted, together with others, and joined again with what was on its way", () =>
    Simulation.check(
      { seeds: 20 },
      Effect.gen(function* () {
        const clients = yield* Effect.forEach(range(3), () => TestSocketIo.makeClient())
        const sockets = yield* Effect.forEach(clients, ({ connect }) => connect("/"))
        const scope = yield* Effect.scope
        const asked = yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Simulation.partition(clients.slice(0, 2))
            const asked = yield* Effect.forEach(sockets, (socket, n) =>
              Effect.forkIn(socket.emitWithAck("echo", n), scope, { startImmediately: true })
            )
            yield* Effect.sleep("2 seconds")
            assert.deepStrictEqual(
              asked.map((fiber) => fiber.pollUnsafe() !== undefined),
              [false, false, true]
            )
            return asked
          })
        )
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(
          asked.map((fiber) => fiber.pollUnsafe()),
          range(3).map((n) => Exit.succeed([n]))
        )
      }).pipe(echoing())
    )
  )

  it.live("has outages, which end with their scope", () =>
    Effect.gen(function* () {
      const { exit, trace } = yield* Simulation.run(
        { seed: 11, maxTrace: 10_000 },
        Effect.gen(function* () {
          const client = yield* TestSocketIo.makeClient()
          const socket = yield* client.connect("/")
          yield* Effect.scoped(
            Effect.andThen(
              Simulation.outages([client], { every: "5 seconds", lasting: "5 seconds" }),
              Effect.sleep("2 minutes")
            )
          )
          yield* Effect.sleep("30 seconds")
          assert.isTrue(socket.connected)
        }).pipe(echoing())
      )
      assert.isTrue(Exit.isSuccess(exit), Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
      for (const state of ["cut", "stalled"]) {
        assert.isTrue(
          trace.some((line) => line.endsWith(`is ${state}`)),
          state
        )
      }
    })
  )
})
