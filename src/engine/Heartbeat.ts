/**
 * The heartbeat of sessions: the schedule by which a server pings its clients (option `heartbeat`).
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

/**
 * The input of a heartbeat's schedule: the result of the session's last ping.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ping {
  /** The time from the last ping to its pong. Zero until the first pong has come. */
  readonly roundTrip: Duration.Duration
  /** The session's current transport, such as `polling` or `websocket`. */
  readonly transport: string
}

/**
 * The heartbeat of a server without options: a ping 25 seconds after the session's opening, and
 * then 25 seconds after each pong.
 *
 * **Details**
 *
 * Each session runs the schedule for itself, from its opening on. The schedule is stepped when the
 * session opens and at every pong; its delay is the pause before the next ping. It runs in the
 * context of the layer that makes the server, so it may need services, and a `jittered` one repeats
 * its values with a seeded `Random`. A step may suspend: the pause then counts from the step's end.
 *
 * The pause never exceeds `pingInterval`, because clients are told that interval and expect a ping
 * within `pingInterval + pingTimeout`. Longer delays are shortened to it, and the ping does not
 * wait for a slower step. A session whose client does not answer a ping closes after `pingTimeout`
 * with reason `ping timeout`.
 *
 * A step that dies closes its session with reason `internal error`. The session's end interrupts
 * a step that is under way.
 *
 * **Gotchas**
 *
 * The end of a schedule does not end the pings: they go on every `pingInterval`, so that a vanished
 * client is always noticed. Raise `pingInterval` for a longer heartbeat.
 *
 * Clients of Engine.IO 3 send the pings themselves: the schedule does not run for their sessions.
 *
 * **Example** (Pings that follow the connection)
 *
 * ```ts
 * import * as Duration from "effect/Duration"
 * import * as Schedule from "effect/Schedule"
 * import { Heartbeat } from "effect-socket.io/engine"
 *
 * // Every 5 seconds while pongs are slow or the client polls, but for two minutes at most.
 * const probing = Schedule.max([Schedule.spaced("5 seconds"), Schedule.during("2 minutes")]).pipe(
 *   Schedule.setInputType<Heartbeat.Ping>(),
 *   Schedule.while(
 *     ({ input }) => input.transport === "polling" || Duration.toMillis(input.roundTrip) > 500
 *   )
 * )
 *
 * // Then the default, spread by 20 % so that thousands of sessions do not ping at once.
 * const heartbeat = Schedule.concat(probing, Schedule.jittered(Heartbeat.default))
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
const spaced: Schedule.Schedule<number, Ping> = Schedule.spaced("25 seconds")

export { spaced as default }
