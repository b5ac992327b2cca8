/**
 * Schedules of reconnection: the pauses between the attempts of a client to connect.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"

import type { ClientCloseReason } from "../DisconnectReason.ts"
import type { ClientClose } from "../engine/EngineClient.ts"

/**
 * The input of a schedule of reconnection, once for each attempt that may follow.
 *
 * An outage begins when the connection is lost, or with the first attempt to open it, and lasts
 * until the server has let a namespace in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outage {
  /** The reason for which the connection, or the attempt to open it, has just ended. */
  readonly reason: ClientCloseReason
  /**
   * The attempts of this outage that have failed. After a connection was lost: 0 for the first
   * pause.
   */
  readonly attempt: number
  /**
   * Everything that the platform tells of that end: an HTTP status, a close code, the error that
   * caused it.
   */
  readonly error: ClientClose
  /** The time since the outage began, in milliseconds. */
  readonly elapsed: number
}

/**
 * The options of {@link exponential}.
 *
 * @since 0.1.0
 * @category options
 */
export interface ExponentialOptions {
  /** The first pause, in milliseconds. */
  readonly min: number
  /** The longest pause, in milliseconds. */
  readonly max: number
  /** The part of a pause by which it may be shorter or longer: from 0 to 1. */
  readonly jitter: number
}

/**
 * A schedule that doubles its pauses, up to a maximum, and spreads each at random. It never ends.
 *
 * **Details**
 *
 * The maximum holds for each pause with its spread. The official client waits exactly the maximum
 * after some attempts. This schedule spreads those pauses over the lower half, so that clients do
 * not come back all at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const exponential = ({ jitter, max, min }: ExponentialOptions): Schedule.Schedule<Duration.Duration, Outage> =>
  Schedule.fromStep(
    Effect.sync(() => {
      let next = min
      return () =>
        Effect.map(Random.next, (random): [Duration.Duration, Duration.Duration] => {
          const base = Math.min(next, max)
          next = base * 2
          const low = base * (1 - jitter)
          const high = Math.min(base * (1 + jitter), max)
          const pause = Duration.millis(Math.round(low + random * (high - low)))
          return [pause, pause]
        })
    })
  )

/**
 * The schedule that clients run unless another one is given: 1 second, doubled after each failed
 * attempt up to 5 seconds, each pause up to half as much shorter or longer, without end.
 *
 * **Details**
 *
 * It is a value: compose it with the functions of `Schedule`. The client runs a schedule anew for
 * every outage, in the context in which its layer was built: with the `Clock` and the `Random` of
 * that context, and with the services that the schedule needs, which become requirements of the
 * layer. A schedule may also wait in a step, for a network that is back, say. When it is done, the
 * client gives up: `connect` and `reconnect` fail with a `ConnectError`, and the status of its
 * sockets says that no other attempt follows.
 *
 * **Gotchas**
 *
 * `Schedule.max` continues while all of its schedules do, and takes the longest pause;
 * `Schedule.min` continues while one of them does, and takes the shortest. So `Schedule.recurs` and
 * `Schedule.during` limit a schedule within `max`.
 *
 * **Example** (Gives up after five minutes, or when the server refuses the request)
 *
 * ```ts
 * const patient = Reconnection.default.pipe(
 *   Schedule.while(({ input }) => input.elapsed < 300_000 && input.error.status !== 401)
 * )
 * const Client = SocketIoClient.layer({ url: "https://example.org", reconnection: patient })
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
const default_ = exponential({ min: 1_000, max: 5_000, jitter: 0.5 })

export { default_ as default }
