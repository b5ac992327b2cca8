/**
 * Reads options, and refuses what makes no sense.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import { InvalidOptionError } from "../SocketIoError.ts"
import type { TransportName } from "./Transport.ts"

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

/**
 * Reads a list of transports: at least one, and only those that there are.
 *
 * @since 0.1.0
 * @category decoding
 */
export const transports = (
  value: ReadonlyArray<TransportName> | undefined
): Effect.Effect<ReadonlyArray<TransportName>, InvalidOptionError> => {
  const names = value ?? ["polling", "websocket"]
  const unknown = names.find((name) => name !== "polling" && name !== "websocket")
  if (unknown === undefined && names.length > 0) return Effect.succeed(names)
  const problem = unknown === undefined ? "must name at least one transport" : `unknown transport "${String(unknown)}"`
  return Effect.fail(new InvalidOptionError({ option: "transports", problem }))
}

/**
 * Reads one of some words.
 *
 * @since 0.1.0
 * @category decoding
 */
export const oneOf = <const Word extends string>(
  option: string,
  value: Word | undefined,
  words: readonly [fallback: Word, ...others: ReadonlyArray<Word>]
): Effect.Effect<Word, InvalidOptionError> => {
  if (value === undefined) return Effect.succeed(words[0])
  return words.includes(value)
    ? Effect.succeed(value)
    : Effect.fail(
        new InvalidOptionError({ option, problem: `must be one of ${words.join(", ")}, not ${String(value)}` })
      )
}
