/**
 * The messages of a server to Redis: sent at once and in order if possible, kept within bounds
 * while it is not, and counted if lost.
 *
 * All that is sent in one turn of the event loop leaves in one pipeline. Only few pipelines are
 * under way, so that a slow Redis makes this outbox longer, which is bounded, and not a queue of
 * the client library, which is not.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

import type { ClusterMonitor } from "../../adapter/ClusterStatus.ts"
import type { RedisClient } from "../RedisClient.ts"
import type { Command, Reply } from "../RedisCommand.ts"
import { RedisError } from "../RedisError.ts"
import { Backlog } from "./backlog.ts"
import type { Connection, Result } from "./driver.ts"
import { Outbox, type Waiting } from "./outbox.ts"
import { routesOf, type Lane } from "./routes.ts"

export interface PublisherOptions {
  /** Bytes that wait at most while Redis is away or slow. Default: 16 MiB. */
  readonly maxBytes?: number
  /** For how long something waits at most. Default: 10 seconds. */
  readonly maxAge?: Duration.Input
  /** Pipelines under way at most, for each server. Default: 4. */
  readonly maxPipelines?: number
  /**
   * Waited for after each outage, and at the start, before anything is sent: that those who are to
   * hear it are there again. Default: that this server's own subscriptions are confirmed.
   */
  readonly fence?: Effect.Effect<unknown>
  /** For how long the fence is waited for at most. Default: 2 seconds. */
  readonly fenceTimeout?: Duration.Input
}

export interface Publisher {
  /**
   * Publishes, in the order of the calls for each channel (for all channels that are not sharded).
   * Never throws.
   */
  readonly publish: (channel: string, body: Uint8Array | string, isSharded: boolean) => void
  /**
   * Sends any command to the server of a key, in the order of the calls for each key. `done` is
   * called once, with the reply, or without one: the command was dropped, or has failed, which is
   * counted then.
   */
  readonly add: (command: Command, key: string, done?: (reply: Reply | undefined) => void) => void
  /** Bytes and commands that wait at present. */
  readonly waiting: () => { readonly commands: number; readonly bytes: number }
}

/** A pipeline has so much at most: more is in the next one. */
const PIPELINE_COMMANDS = 1_000
const PIPELINE_BYTES = 1 << 20
/** The memory of a command beyond its strings and bytes, about. */
const OVERHEAD = 128

/** Redis has not executed the command, and would later or elsewhere. */
const isTransient = (error: RedisError): boolean =>
  /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|READONLY|MASTERDOWN|BUSY)\b/.test(error.message)

/** Before something is sent again that Redis refuses for the moment, in milliseconds. */
const RETRY_DELAY = 100

/** The commands for one server. */
interface Way {
  readonly lane: Lane
  readonly outbox: Outbox
  /** The connection for which the fence has opened. */
  open: Connection | undefined
  /** The connection for which the fence is waited for. */
  fenced: Connection | undefined
  pipelines: number
  isScheduled: boolean
}

/** The end of a publisher waits for so long for commands that are under way. */
const CLOSING_TIME = Duration.seconds(1)

/** The size of a string within a command, at least: a bound needs no exact number of bytes. */
const sizeOf = (part: string | Uint8Array): number => (typeof part === "string" ? part.length : part.byteLength)

/** Waits until the client's own subscriptions are confirmed. */
export const whenSubscribed = (client: RedisClient["Service"]): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (client.isConnected()) return resume(Effect.void)
    const stop = client.onChange(() => {
      if (!client.isConnected()) return
      stop()
      resume(Effect.void)
    })
    return Effect.sync(stop)
  })

/**
 * Makes a publisher. When its scope closes, it sends what waits if there is a connection, and waits
 * for what is under way, for a second at most. The rest is counted as failed.
 */
export const make = (
  client: RedisClient["Service"],
  monitor: Pick<ClusterMonitor, "dropped">,
  options: PublisherOptions = {}
): Effect.Effect<Publisher, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const clock = yield* Clock.Clock
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const routes = routesOf(client)
    const maxBytes = options.maxBytes ?? 16 << 20
    const maxAge = Duration.toMillis(options.maxAge ?? "10 seconds")
    const maxPipelines = options.maxPipelines ?? 4
    /** Whether it has opened in time. */
    const fence = (options.fence ?? whenSubscribed(client)).pipe(
      Effect.catchCause(() => Effect.void),
      Effect.timeoutOption(options.fenceTimeout ?? Duration.seconds(2)),
      Effect.map(Option.isSome)
    )
    const ways = new Map<Lane, Way>()
    /**
     * Commands that have no server at present: the slots of a Redis Cluster are not known, or
     * everything is held.
     */
    const stranded = new Outbox()
    /**
     * Nothing is sent until all pipelines are back: a slot has got another server, or something was
     * refused for the moment. Later commands would overtake those that must be sent again.
     */
    let isHeld = false
    /** Something was refused for the moment. */
    let isRefused = false
    let version = routes.version()
    /** Called when a pipeline has come back, once the scope closes. */
    let idle: (() => void) | undefined

    const laneOf = (key: string | undefined) => (key === undefined ? routes.commonLane() : routes.laneOf(key))
    const wayOf = (lane: Lane): Way => {
      let way = ways.get(lane)
      if (way === undefined) {
        way = {
          lane,
          outbox: new Outbox(),
          open: undefined,
          fenced: undefined,
          pipelines: 0,
          isScheduled: false
        }
        ways.set(lane, way)
      }
      return way
    }
    const outboxes = () => [stranded, ...Array.from(ways.values(), ({ outbox }) => outbox)]
    const backlog = new Backlog(outboxes, monitor, clock, maxBytes, maxAge)

    const onResults = (way: Way, batch: ReadonlyArray<Waiting>, results: ReadonlyArray<Result>) => {
      way.pipelines--
      let again: Array<Waiting> | undefined
      let failed = 0
      for (const [at, item] of batch.entries()) {
        const result = results[at]!
        if (!(result instanceof RedisError)) {
          item.done?.(result)
          continue
        }
        if (result.reason._tag === "Refused" && isTransient(result)) {
          again ??= []
          again.push(item)
          continue
        }
        failed++
        item.done?.(undefined)
        if (result.reason._tag === "Refused") onRefused(result)
      }
      if (failed > 0) monitor.dropped(failed, "failed")
      if (again !== undefined) {
        for (const item of again) backlog.add(item)
        way.outbox.putBack(again)
        isHeld = true
        isRefused = true
        routes.refresh()
      }
      if (isHeld) settle()
      // Commands that wait for a server of a Redis Cluster that is away may have another one.
      else if (client.isCluster && way.pipelines === 0 && way.lane.line.connection === undefined) distribute()
      else flush(way)
      idle?.()
    }
    const isBusy = () => {
      for (const { lane, pipelines } of ways.values())
        if (pipelines > 0 && lane.line.connection !== undefined) return true
      return false
    }
    let isReleasing = false
    /** Goes on if all pipelines are back; a while later if something was refused. */
    const settle = () => {
      if (isReleasing || isBusy()) return
      isReleasing = true
      const pause = isRefused ? RETRY_DELAY : 0
      isRefused = false
      run(Effect.sleep(Duration.millis(pause)).pipe(Effect.andThen(Effect.sync(release)), Effect.forkIn(scope)))
    }
    const release = () => {
      isReleasing = false
      isHeld = isBusy()
      if (!isHeld) distribute()
    }
    let refusedAt = -Infinity
    const onRefused = (error: RedisError) => {
      const now = clock.currentTimeMillisUnsafe()
      if (now - refusedAt < 5_000) return
      refusedAt = now
      run(Effect.logError("redis: a message was refused", error))
    }

    /** A hot path: once per turn of the event loop and pipeline. */
    const flush = (way: Way) => {
      if (isHeld) return
      while (way.outbox.length > 0 && way.pipelines < maxPipelines) {
        const { connection } = way.lane.line
        if (connection === undefined) return
        if (way.open !== connection) return raise(way, connection)
        const batch = way.outbox.take(PIPELINE_COMMANDS, PIPELINE_BYTES)
        const sent: Array<Command> = []
        for (const item of batch) {
          backlog.take(item)
          sent.push(item.command)
        }
        way.pipelines++
        connection.send(sent, false, (results) => onResults(way, batch, results))
      }
    }
    /** Waits for the fence of a new connection. */
    const raise = (way: Way, connection: Connection) => {
      if (way.fenced === connection) return
      way.fenced = connection
      const open = Effect.sync(() => {
        if (way.fenced !== connection) return
        way.fenced = undefined
        if (way.lane.line.connection !== connection) return
        way.open = connection
        flush(way)
      })
      run(fence.pipe(Effect.andThen(open), Effect.forkIn(scope)))
    }
    let isOpening = false
    /**
     * Waits for the fence of new connections before there is anything to send: the first message,
     * which may be the last one, does not have to. One that comes after the time for that waits for
     * a fence of its own.
     */
    const openEarly = () => {
      if (isOpening) return
      const closed = routes.lanes().filter((lane) => {
        const { connection } = lane.line
        return connection !== undefined && ways.get(lane)?.open !== connection
      })
      if (closed.length === 0) return
      isOpening = true
      const connections = closed.map((lane) => [lane, lane.line.connection] as const)
      const open = (isReached: boolean) =>
        Effect.sync(() => {
          isOpening = false
          if (!isReached) return
          for (const [lane, connection] of connections) {
            if (lane.line.connection !== connection) continue
            const way = wayOf(lane)
            way.open = connection
            flush(way)
          }
          openEarly()
        })
      run(fence.pipe(Effect.flatMap(open), Effect.forkIn(scope)))
    }
    const schedule = (way: Way) => {
      if (way.isScheduled) return
      way.isScheduled = true
      setImmediate(() => {
        way.isScheduled = false
        flush(way)
      })
    }

    /** Gives what waits to the servers that it belongs to now. */
    const distribute = () => {
      if (version !== routes.version()) {
        version = routes.version()
        isHeld ||= isBusy()
      }
      if (isHeld) return settle()
      const current = new Set(routes.lanes())
      const moved: Array<Waiting> = [...stranded.clear()]
      for (const way of ways.values()) {
        if (client.isCluster) moved.push(...way.outbox.clear())
        if (!current.has(way.lane) && way.pipelines === 0) ways.delete(way.lane)
      }
      moved.sort((a, b) => a.number - b.number)
      for (const item of moved) {
        const lane = laneOf(item.key)
        if (lane === undefined) stranded.push(item)
        else wayOf(lane).outbox.push(item)
      }
      for (const way of ways.values()) flush(way)
      openEarly()
    }

    const enqueue = (
      command: Command,
      key: string | undefined,
      size: number,
      done?: (reply: Reply | undefined) => void
    ) => {
      const item = backlog.admit(command, key, size, done)
      if (item === undefined) return
      const lane = isHeld ? undefined : laneOf(key)
      if (lane === undefined) return stranded.push(item)
      const way = wayOf(lane)
      way.outbox.push(item)
      if (way.pipelines < maxPipelines) schedule(way)
    }

    yield* Effect.sleep(Duration.millis(Math.min(1_000, Math.max(10, maxAge / 10)))).pipe(
      Effect.andThen(Effect.sync(() => backlog.expire())),
      Effect.forever,
      Effect.forkScoped
    )

    yield* Effect.acquireRelease(
      Effect.sync(() => {
        openEarly()
        return routes.onChange(distribute)
      }),
      (stop) =>
        Effect.gen(function* () {
          stop()
          const closed = Array.from(ways.values()).filter(
            ({ lane, open, outbox }) => outbox.length > 0 && lane.line.connection !== open
          )
          if (closed.some(({ lane }) => lane.line.connection !== undefined)) {
            yield* Effect.timeoutOption(fence, CLOSING_TIME)
            for (const way of closed) way.open = way.lane.line.connection
          }
          for (const way of ways.values()) flush(way)
          // Commands under way are waited for, but not for long.
          yield* Effect.callback<void>((resume) => {
            idle = () => {
              if (Array.from(ways.values()).every(({ pipelines }) => pipelines === 0)) resume(Effect.void)
            }
            idle()
          }).pipe(Effect.timeoutOption(CLOSING_TIME))
          backlog.drop()
        })
    )

    return {
      publish(channel, body, isSharded) {
        const size = OVERHEAD + channel.length + sizeOf(body)
        if (isSharded) enqueue(["SPUBLISH", channel, body], channel, size)
        else enqueue(["PUBLISH", channel, body], undefined, size)
      },
      add(command, key, done) {
        let size = OVERHEAD
        for (const part of command) size += sizeOf(part)
        enqueue(command, key, size, done)
      },
      waiting: () => ({ commands: backlog.commands, bytes: backlog.bytes })
    }
  })
