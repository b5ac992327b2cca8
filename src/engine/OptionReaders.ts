/**
 * Reads options, and refuses those that make no sense with `InvalidOptionError`. `option` is the
 * path of an option, such as `limits.maxPayload`.
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
 * The longest time that a JavaScript timer takes, in milliseconds: 24.8 days. With a longer time it
 * fires at once.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_TIMER = 2 ** 31 - 1

/**
 * Reads a duration in milliseconds. It is at least `minimum`, and at most the longest time of a
 * timer.
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
    n = Duration.toMillis(value)
  } catch {
    // An invalid duration is refused below, like a negative one.
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
    : refuse(option, `must be an integer from ${minimum} on`)
}

/**
 * Reads a list of transports: at least one, and only existing ones.
 *
 * @since 0.1.0
 * @category decoding
 */
export const transports = <Name extends string = TransportName>(
  value: ReadonlyArray<Name> | undefined,
  known: ReadonlyArray<string> = ["polling", "websocket"] satisfies ReadonlyArray<TransportName>
): Effect.Effect<ReadonlyArray<Name>, InvalidOptionError> => {
  const names = value ?? (known as ReadonlyArray<Name>)
  return names.length > 0 && names.every((name) => known.includes(name))
    ? Effect.succeed(names)
    : refuse("transports", `not ${names}`)
}

/**
 * Reads one of several words.
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

/**
 * Reads a switch.
 *
 * @since 0.1.0
 * @category decoding
 */
export const flag = (
  option: string,
  value: boolean | undefined,
  fallback: boolean
): Effect.Effect<boolean, InvalidOptionError> => {
  if (value === undefined) return Effect.succeed(fallback)
  return typeof value === "boolean"
    ? Effect.succeed(value)
    : refuse(option, `must be true or false, not ${String(value)}`)
}

/**
 * Reads a function.
 *
 * @since 0.1.0
 * @category decoding
 */
export const hook = <F extends (...args: ReadonlyArray<never>) => unknown>(
  option: string,
  value: F | undefined
): Effect.Effect<F | undefined, InvalidOptionError> =>
  value === undefined || typeof value === "function"
    ? Effect.succeed(value)
    : refuse(option, `must be a function, not ${String(value)}`)

/**
 * The names of all options of a group.
 *
 * @since 0.1.0
 * @category models
 */
export type Names<Group> = { readonly [Name in keyof Required<Group>]: true }

/**
 * Reads a group of options. Every name must be one of `names`. Other readers read the options
 * themselves. The path `""` stands for all options.
 *
 * @since 0.1.0
 * @category decoding
 */
export const group = <Group extends object>(
  option: string,
  value: Group | undefined,
  names: Names<Group>
): Effect.Effect<Partial<Group>, InvalidOptionError> => {
  if (value === undefined) return Effect.succeed({})
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refuse(option, `must be an object of options, not ${String(value)}`)
  }
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(names, name)) return refuse(option === "" ? name : `${option}.${name}`, "is not an option")
  }
  return Effect.succeed(value)
}

/**
 * Separates the options that a module reads itself from those that it passes on.
 *
 * @since 0.1.0
 * @category combinators
 */
export const separate = <Own extends object, Options extends Own>(
  options: Options,
  names: Names<Own>
): readonly [own: Pick<Options, keyof Own & keyof Options>, others: Omit<Options, keyof Own>] => {
  const own: Record<string, unknown> = {}
  const others: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) (Object.hasOwn(names, name) ? own : others)[name] = value
  return [own, others] as never
}
