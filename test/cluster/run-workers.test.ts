/**
 * The workers that a primary starts: when they end by themselves, and when they do not end.
 */
import cluster from "node:cluster"
import { connect } from "node:net"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Schedule } from "effect"

import * as ClusterPrimary from "../../src/cluster/ClusterPrimary.ts"

/** Log lines about workers that end are not for the reader of these tests. */
const quiet = Effect.provide(Logger.layer([]))

const exec = fileURLToPath(new URL("stubborn-worker.ts", import.meta.url))

describe("the workers of a primary", () => {
  it.live("are started again as the schedule says, which fails at its end with what has happened", () =>
    Effect.gen(function* () {
      let forks = 0
      const count = () => void forks++
      cluster.on("fork", count)
      const error = yield* Effect.flip(
        ClusterPrimary.runWorkers({ workers: 1, exec, env: { EXIT: "3" }, restart: Schedule.recurs(2) })
      )
      cluster.off("fork", count)
      assert.strictEqual(error._tag, "WorkerEndedError")
      assert.match(error.message, /^worker \d+ has ended with code 3$/)
      assert.strictEqual(forks, 3)
    }).pipe(quiet)
  )

  it.live("are killed if they do not end in time", () =>
    Effect.gen(function* () {
      const ready = Effect.callback<number>((resume) => {
        cluster.once("message", (_, message: { readonly ready: number }) => resume(Effect.succeed(message.ready)))
      })
      const running = yield* Effect.forkChild(
        ClusterPrimary.runWorkers({ workers: 1, exec, shutdownTimeout: "100 millis" })
      )
      const pid = yield* ready
      const ended = Effect.callback<string>((resume) => {
        cluster.once("exit", (_, __, signal) => resume(Effect.succeed(signal)))
      })
      const exit = yield* Effect.forkChild(ended, { startImmediately: true })
      yield* Fiber.interrupt(running)
      assert.strictEqual(yield* Fiber.join(exit), "SIGKILL")
      assert.throws(() => process.kill(pid, 0))
    }).pipe(quiet)
  )

  it.live("that are killed leave no connection open that they were handed and have not taken", () =>
    Effect.gen(function* () {
      yield* ClusterPrimary.setup()
      const handed = Effect.callback<void>((resume) => {
        cluster.once("fork", ({ process }) => {
          const { send } = process
          Object.assign(process, {
            send(...args: Parameters<typeof send>) {
              if ("act" in (args[0] as object)) resume(Effect.void)
              return send.apply(process, args)
            }
          })
        })
      })
      const port = Effect.callback<number>((resume) => {
        cluster.once("message", (_, message: { readonly listening: number }) =>
          resume(Effect.succeed(message.listening))
        )
      })
      const handing = yield* Effect.forkChild(handed, { startImmediately: true })
      const listening = yield* Effect.forkChild(port, { startImmediately: true })
      const program = fileURLToPath(new URL("listening-worker.ts", import.meta.url))
      yield* Effect.forkChild(ClusterPrimary.runWorkers({ workers: 1, exec: program }), { startImmediately: true })
      const socket = connect(yield* Fiber.join(listening), "127.0.0.1")
      const [worker] = Object.values(cluster.workers!)
      worker!.process.kill("SIGSTOP")
      yield* Fiber.join(handing)
      const closed = Effect.callback<void>((resume) => {
        socket.once("close", () => resume(Effect.void))
        socket.on("error", () => {})
      })
      const closing = yield* Effect.forkChild(closed, { startImmediately: true })
      worker!.process.kill("SIGKILL")
      // It is closed, and not kept until somebody loses patience.
      yield* Fiber.join(closing)
    }).pipe(quiet)
  )

  it.effect("have options that make sense", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ClusterPrimary.runWorkers({ workers: 0 }))
      assert.strictEqual(error.message, 'option "workers": must be an integer from 1 on')
    })
  )
})
