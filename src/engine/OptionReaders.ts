/**
 * Reads options, and refuses what makes no sense.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import { InvalidOptionError } from "../SocketIoError.ts"

/**
 * Reads a duration in milliseconds that is finite and at least `minimum`.
 *
 * @since 0.1.0
 * @category decoding
 */
export const millis = (
  option: string,
  value: Duration.Input | undefined,
  fallback: number,
  minimum: number
): Effect.Effect<number, InvalidOptionError> => {
  if (value === undefined) return Effect.succeed(fallback)
  const duration = Duration.fromInput(value)
  const n = duration._tag === "Some" ? Duration.toMillis(duration.value) : Number.NaN
  return Number.isFinite(n) && n >= minimum
    ? Effect.succeed(n)
    : Effect.fail(new InvalidOptionError({ option, problem: `must be a finite duration of at least ${minimum} ms` }))
}

/**
 * Reads an integer that is at least `minimum`.
 *
 * @since 0.1.0
 * @category decoding
 */
export const integer = (
  option: string,
  value: number | undefined,
  fallback: number,
  minimum: number
): Effect.Effect<number, InvalidOptionError> => {
  if (value === undefined) return Effect.succeed(fallback)
  return Number.isSafeInteger(value) && value >= minimum
    ? Effect.succeed(value)
    : Effect.fail(
        new InvalidOptionError({ option, problem: `must be an integer of at least ${minimum}, not ${value}` })
      )
}
