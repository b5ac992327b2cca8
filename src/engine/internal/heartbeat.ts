import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"

/**
 * Gives the pause before the next ping in milliseconds, from the time now and the round-trip time of the last ping;
 * `undefined` when no more pings are to be sent.
 */
export type HeartbeatStep = (now: number, roundTrip: number) => number | undefined

/**
 * Runs a heartbeat schedule for one session. The schedule is stepped synchronously, so that a session needs no fiber for
 * it; one that cannot be, as its steps suspend, pings at `longest`. A step that dies throws what it has died of.
 */
export const makeHeartbeatStep = (schedule: Schedule.Schedule<unknown, number>, longest: number): HeartbeatStep => {
  const step = Effect.runSync(Schedule.toStep(schedule))
  let done = false
  return (now, roundTrip) => {
    if (done) return undefined
    const exit = Effect.runSyncExit(
      Effect.match(step(now, roundTrip), {
        onSuccess: ([, delay]) => Math.min(Duration.toMillis(delay), longest),
        onFailure: () => undefined
      })
    )
    if (Exit.isFailure(exit)) {
      const defect = Cause.squash(exit.cause)
      if (Cause.hasDies(exit.cause) && !Cause.isAsyncFiberError(defect)) throw defect
      return longest
    }
    done = exit.value === undefined
    return exit.value
  }
}
