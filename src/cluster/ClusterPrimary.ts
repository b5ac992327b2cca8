/**
 * The primary of Node's cluster module: it passes the messages of its workers on to one another,
 * and keeps the workers running.
 *
 * @since 0.1.0
 */
import cluster, { type Worker } from "node:cluster"
import { availableParallelism } from "node:os"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

import { ClusterStatus, makeMonitor } from "../adapter/ClusterStatus.ts"
import { integer, millis } from "../engine/OptionReaders.ts"
import { type InvalidOptionError, TaggedError } from "../SocketIoError.ts"
import { watchHandover } from "./internal/handover.ts"
import { MAX_BUFFER, type Send } from "./internal/outbox.ts"
import { Relay } from "./internal/relay.ts"

/**
 * Options of the primary.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * The bytes of messages that may wait for one worker that is slow. Further messages to it are
   * dropped and counted; a worker of this library notices that they are missing. Default: 16 MiB.
   */
  readonly maxBuffer?: number
}

/**
 * Options of a primary that starts its workers.
 *
 * @since 0.1.0
 * @category options
 */
export interface WorkersOptions extends Options {
  /** The number of workers. Default: `os.availableParallelism()`, which is the number of cores. */
  readonly workers?: number
  /** The program of the workers. Default: the program of this process. */
  readonly exec?: string
  /** The arguments of the workers. Default: the arguments of this process. */
  readonly args?: ReadonlyArray<string>
  /** Environment variables of the workers, besides those of this process. */
  readonly env?: Readonly<Record<string, string>>
  /**
   * When a worker is started again that has ended. It begins anew after a worker has lived for a
   * minute. Without a further step, the primary fails with {@link WorkerEndedError}. Default: after
   * 100 ms, then after twice the time, up to 5 seconds.
   */
  readonly restart?: Schedule.Schedule<unknown, WorkerEndedError>
  /**
   * The time that workers have to end after SIGTERM. Those that need longer are killed. Default: 30
   * seconds.
   */
  readonly shutdownTimeout?: Duration.Input
}

/**
 * A worker has ended.
 *
 * @since 0.1.0
 * @category errors
 */
export class WorkerEndedError extends TaggedError("WorkerEndedError")<{
  readonly pid: number | undefined
  /** Its exit code; `null` if a signal has ended it. */
  readonly code: number | null
  readonly signal: string | null
}> {
  override get message(): string {
    return `worker ${this.pid} has ended with ${this.signal ?? `code ${this.code}`}`
  }
}

/** A worker that lives for so long has started well, in milliseconds. */
const HEALTHY = 60_000

/** After the end of a worker, the end of its channel does not take longer. */
const CHANNEL_END = "100 millis"

/**
 * Passes the messages of the workers on to one another, until the scope closes.
 *
 * **Details**
 *
 * The workers may have the adapter of this library or the official one. An answer goes to the
 * worker that has asked, all else to all others. When a worker ends, the others learn at once that
 * its servers are dead. Connections that it was handed and has not taken yet are closed: their
 * clients come back at once. Messages of the application are left alone.
 *
 * The result tells what was dropped for slow workers, and what was refused. Workers that are
 * forked later use `serialization: "advanced"`, because bytes arrive damaged otherwise.
 *
 * @since 0.1.0
 * @category constructors
 */
export const setup = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<ClusterStatus["Service"], InvalidOptionError, Scope.Scope> {
  const maxBuffer = yield* integer("maxBuffer", options.maxBuffer, MAX_BUFFER, 1)
  const monitor = yield* makeMonitor
  const run = Effect.runForkWith(yield* Effect.context<never>())
  cluster.setupPrimary({ serialization: "advanced" })
  const relay = new Relay(monitor, { maxBuffer, carriesBytes: cluster.settings.serialization === "advanced" })
  const onMessage = (worker: Worker, message: unknown) => relay.onMessage(worker.id, sendTo(worker), message)
  // The channel ends after the last message of a worker, and so after its process perhaps.
  const onDisconnect = ({ id }: Worker) => relay.onWorkerEnd(id)
  const onExit = ({ id }: Worker) =>
    void run(Effect.andThen(Effect.sleep(CHANNEL_END), () => Effect.sync(() => relay.onWorkerEnd(id))))
  const handovers = new Map<number, () => void>()
  const onFork = (worker: Worker) => {
    if (handovers.has(worker.id)) return
    const stop = watchHandover(worker)
    handovers.set(worker.id, stop)
    worker.once("exit", () => {
      handovers.delete(worker.id)
    })
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      for (const worker of Object.values(cluster.workers ?? {})) if (worker !== undefined) onFork(worker)
      cluster.on("fork", onFork)
      cluster.on("message", onMessage)
      cluster.on("disconnect", onDisconnect)
      cluster.on("exit", onExit)
      monitor.connected(true)
    }),
    () =>
      Effect.sync(() => {
        cluster.off("fork", onFork)
        for (const stop of handovers.values()) stop()
        cluster.off("message", onMessage)
        cluster.off("disconnect", onDisconnect)
        cluster.off("exit", onExit)
      })
  )
  return monitor.status
})

/** The same function for each message of a worker. */
const sends = new WeakMap<Worker, Send>()

const sendTo = (worker: Worker): Send => {
  let send = sends.get(worker)
  if (send === undefined) {
    send = (message, done) => void worker.send(message, undefined as never, undefined, done)
    sends.set(worker, send)
  }
  return send
}

/**
 * {@link setup} as a layer, for a primary that starts its workers itself.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<ClusterStatus, InvalidOptionError> =>
  Layer.effect(ClusterStatus, setup(options))

/**
 * Starts workers, and starts those again that end. It never succeeds.
 *
 * **Details**
 *
 * It fails with {@link WorkerEndedError} when the schedule of restarts has ended, and with
 * `InvalidOptionError` on an option that makes no sense. On interruption, and after a failure, all
 * workers are told to end by SIGTERM, and it waits for them. Worker programs that run by
 * `NodeRuntime.runMain` close their scopes then, and so their servers in good order.
 *
 * The primary has to run {@link setup} or {@link layer} besides. {@link run} does both.
 *
 * @since 0.1.0
 * @category constructors
 */
export const runWorkers = Effect.fnUntraced(function* (
  options: WorkersOptions = {}
): Effect.fn.Return<never, InvalidOptionError | WorkerEndedError> {
  const workers = yield* integer("workers", options.workers, availableParallelism(), 1)
  const shutdownTimeout = yield* millis("shutdownTimeout", options.shutdownTimeout, 30_000, 0)
  const restart = options.restart ?? defaultRestart
  cluster.setupPrimary({
    serialization: "advanced",
    ...(options.exec !== undefined && { exec: options.exec }),
    ...(options.args !== undefined && { args: [...options.args] })
  })
  const one = Effect.suspend(() => {
    const worker = cluster.fork(options.env)
    const startedAt = performance.now()
    return ended(worker).pipe(
      Effect.onInterrupt(() => end(worker, shutdownTimeout)),
      Effect.tap((error) => Effect.logWarning(`cluster: ${error.message}`)),
      Effect.flatMap((error) => (performance.now() - startedAt < HEALTHY ? Effect.fail(error) : Effect.void))
    )
  })
  const always = Effect.forever(Effect.retry(one, restart))
  const all = Effect.forEach(Array.from({ length: workers }), () => always, { concurrency: "unbounded" })
  return yield* Effect.andThen(all, Effect.never)
})

const defaultRestart = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

/** Waits for the end of a worker. */
const ended = (worker: Worker): Effect.Effect<WorkerEndedError> =>
  Effect.callback((resume) => {
    const { pid } = worker.process
    const onExit = (code: number | null, signal: string | null) =>
      resume(Effect.succeed(new WorkerEndedError({ pid, code, signal })))
    // A process that could not be started has no end.
    const onError = () => {
      if (pid === undefined) onExit(null, "no process")
    }
    worker.once("exit", onExit)
    worker.on("error", onError)
    if (worker.isDead()) onExit(worker.process.exitCode, worker.process.signalCode)
    return Effect.sync(() => {
      worker.off("exit", onExit)
      worker.off("error", onError)
    })
  })

/** Ends a worker in good order, or else by force. */
const end = (worker: Worker, shutdownTimeout: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (worker.isDead() || worker.process.pid === undefined) return Effect.void
    worker.process.kill("SIGTERM")
    return Effect.timeoutOrElse(ended(worker), {
      duration: shutdownTimeout,
      orElse: () =>
        Effect.suspend(() => {
          worker.process.kill("SIGKILL")
          return Effect.andThen(
            Effect.logWarning(`cluster: worker ${worker.process.pid} did not end in time`),
            ended(worker)
          )
        })
    })
  })

/**
 * Runs a program on every core: the primary starts workers with the same program, and each worker
 * runs the effect.
 *
 * **Details**
 *
 * In the primary this is {@link setup} with {@link runWorkers}: the effect itself does not run
 * there. On interruption all workers end before the primary does.
 *
 * **Gotchas**
 *
 * Polling clients do not come back to the same worker. Serve WebSockets alone, or let workers pass
 * requests on to one another.
 *
 * **Example** (One command for every core)
 *
 * ```ts
 * const Server = ChatLive.pipe(
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000, transports: ["websocket"] })),
 *   Layer.provide(ClusterAdapter.layer())
 * )
 *
 * NodeRuntime.runMain(ClusterPrimary.run(Layer.launch(Server)))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = <A, E, R>(
  worker: Effect.Effect<A, E, R>,
  options: WorkersOptions = {}
): Effect.Effect<A, E | InvalidOptionError | WorkerEndedError, R> =>
  cluster.isWorker ? worker : Effect.scoped(Effect.andThen(setup(options), runWorkers(options)))
