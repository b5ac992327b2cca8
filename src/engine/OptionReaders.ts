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
 * Refuses an option.
 *
 * @since 0.1.0
 * @category constructors
 */
export const refuse = (option: string, problem: string): InvalidOptionError =>
  new InvalidOptionError({ option, problem })

/**
 * The longest time that a timer of JavaScript takes, in milliseconds: 24.8 days. With a longer one it fires at once.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_TIMER = 2 ** 31 - 1

/**
 * Reads a duration in milliseconds that is at least `minimum`, and not longer than timers take.
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
  let n = -1
  try {
    n = Duration.toMillis(Duration.fromInputUnsafe(value))
  } catch {
    // It is none: refused as a negative one.
  }
  return n >= minimum && n <= MAX_TIMER ? Effect.succeed(n) : refuse(option, `must be ${minimum} to ${MAX_TIMER} ms`)
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
    : refuse(option, `must be an integer of at least ${minimum}, not ${value}`)
}

/**
 * Reads a list of transports: at least one, and only those that there are.
 *
 * @since 0.1.0
 * @category decoding
 */
export const transports = <Name extends string = TransportName>(
  value: ReadonlyArray<Name> | undefined,
  known: ReadonlyArray<Name> = BUILT_IN as ReadonlyArray<string> as ReadonlyArray<Name>
): Effect.Effect<ReadonlyArray<Name>, InvalidOptionError> => {
  const names = value ?? known
  return names.length > 0 && names.every((name) => known.includes(name))
    ? Effect.succeed(names)
    : refuse("transports", `must name some of ${known}, not "${names}"`)
}

const BUILT_IN: ReadonlyArray<TransportName> = ["polling", "websocket"]

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
    : refuse(option, `must be one of ${words.join(", ")}, not ${String(value)}`)
}
