/**
 * A line to one Redis server: a connection that is made again whenever it ends, with a heartbeat
 * that notices a server that hangs.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

import type { Command, SubscriptionKind } from "../RedisCommand.ts"
import { RedisError } from "../RedisError.ts"
import { disconnected, type Address, type Connection, type Driver, type Result } from "./driver.ts"

export interface LineOptions {
  /** For how long a connection may take until it is ready, in milliseconds. */
  readonly connectTimeout: number
  /**
   * A server that has said nothing for so long is asked whether it is there, in milliseconds. 0:
   * never.
   */
  readonly pingInterval: number
  /** A server that then says nothing for so long is taken for dead, in milliseconds. */
  readonly pingTimeout: number
  /**
   * The delays between attempts to connect. The first attempt after a connection that has lasted
   * comes at once.
   */
  readonly reconnection: Schedule.Schedule<unknown>
}

export interface LineEvents {
  readonly onUp?: (connection: Connection) => void
  readonly onDown?: () => void
  readonly onMessage?: (kind: SubscriptionKind, name: string, channel: string, message: Uint8Array) => void
  readonly onMoved?: () => void
  /** Why a connection has ended, or was not made. */
  readonly onProblem?: (cause: unknown) => void
}

export interface Line {
  /** The connection, while there is one that can be used. */
  connection: Connection | undefined
  /**
   * When that changed last, in milliseconds of the Clock; -Infinity before the first connection.
   */
  changedAt: number
  /** Ends the connection, which is then made again. */
  readonly reset: (cause: unknown) => void
}

export const PING: ReadonlyArray<Command> = [["PING"]]

/** A connection that ends earlier counts as a failed attempt, in milliseconds. */
const LASTING = 1_000

/**
 * Waits until the server has said nothing for too long. It counts its own steps and not the time,
 * so that a process that has stood still for a while hears first what has come meanwhile.
 */
const silence = (connection: Connection, { pingInterval, pingTimeout }: LineOptions): Effect.Effect<void> =>
  Effect.gen(function* () {
    const steps = 6
    const step = Duration.millis(Math.max(1, pingTimeout / steps))
    for (;;) {
      const before = connection.activity
      yield* Effect.sleep(Duration.millis(pingInterval))
      if (connection.activity !== before) continue
      connection.send(PING, false, () => {})
      let silent = 0
      while (silent < steps && connection.activity === before) {
        yield* Effect.sleep(step)
        silent++
      }
      if (connection.activity === before) return
    }
  })

/**
 * Makes a line, which connects in the background until the scope closes. `target` is asked before
 * each attempt.
 */
export const make = (
  driver: Driver,
  target: () => Address | undefined,
  events: LineEvents,
  options: LineOptions
): Effect.Effect<Line, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const line: Line = { connection: undefined, changedAt: -Infinity, reset: () => {} }
    const set = (connection: Connection | undefined) => {
      if (line.connection === connection) return
      line.connection = connection
      line.changedAt = clock.currentTimeMillisUnsafe()
      if (connection === undefined) events.onDown?.()
      else events.onUp?.(connection)
    }

    const connect = (ended: Deferred.Deferred<void>) =>
      Effect.callback<Connection, RedisError>((resume) => {
        let isOver = false
        const end = (cause: unknown) => {
          if (isOver) return
          isOver = true
          if (line.connection === connection) set(undefined)
          if (cause !== undefined) events.onProblem?.(cause)
          Deferred.doneUnsafe(ended, Effect.void)
          resume(Effect.fail(disconnected(cause)))
        }
        const connection = driver.open(target(), {
          onReady: () => {
            if (!isOver) resume(Effect.succeed(connection))
          },
          onEnd: end,
          onMessage: (kind, name, channel, message) => {
            if (!isOver) events.onMessage?.(kind, name, channel, message)
          },
          onMoved: () => {
            if (!isOver) events.onMoved?.()
          }
        })
        return Effect.sync(() => {
          end(undefined)
          connection.destroy()
        })
      }).pipe(
        Effect.timeoutOrElse({
          duration: Duration.millis(options.connectTimeout),
          orElse: () =>
            Effect.fail(
              new RedisError({ reason: { _tag: "Timeout" }, message: "Redis did not answer a new connection" })
            )
        })
      )

    /**
     * One connection, from the first attempt to its end. Fails if it was not made, or has ended
     * soon.
     */
    const live = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const ended = Deferred.makeUnsafe<void>()
        const connection = yield* restore(connect(ended))
        const readyAt = clock.currentTimeMillisUnsafe()
        const reset = (cause: unknown) => {
          if (line.connection === connection) set(undefined)
          if (cause !== undefined) events.onProblem?.(cause)
          connection.destroy()
          Deferred.doneUnsafe(ended, Effect.void)
        }
        Object.assign(line, { reset })
        if (!Deferred.isDoneUnsafe(ended)) set(connection)
        const lost = Deferred.await(ended)
        yield* restore(options.pingInterval > 0 ? Effect.raceFirst(lost, silence(connection, options)) : lost).pipe(
          Effect.ensuring(Effect.sync(() => reset(undefined)))
        )
        if (clock.currentTimeMillisUnsafe() - readyAt < LASTING) return yield* Effect.fail(disconnected())
      })
    )

    // A connection that has lasted is made again at once: subscribers miss what is published until
    // then. The delays are for connections that are not made, or end soon.
    yield* Effect.retry(live, options.reconnection).pipe(
      Effect.catchCause((cause) =>
        Effect.andThen(
          Effect.sync(() => events.onProblem?.(cause)),
          Effect.sleep(Duration.seconds(1))
        )
      ),
      Effect.forever,
      Effect.forkScoped({ startImmediately: true })
    )
    return line
  })

/** Sends commands over a line; all of them fail if there is no connection. */
export const send = (
  line: Line | undefined,
  commands: ReadonlyArray<Command>,
  bytes: boolean,
  done: (results: ReadonlyArray<Result>) => void
): void => {
  const connection = line?.connection
  if (commands.length === 0) done([])
  else if (connection === undefined) done(commands.map(() => disconnected()))
  else connection.send(commands, bytes, done)
}
