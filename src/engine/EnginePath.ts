/**
 * The paths of an engine's requests.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

import type { InvalidOptionError } from "../SocketIoError.ts"
import { refuse } from "./OptionReaders.ts"
import { queryOf } from "./RequestDetails.ts"

/**
 * Brings a path into the form that requests are compared with: with one slash at its end. Default:
 * `/socket.io/`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const normalize = (path: string = "/socket.io"): string => path.replace(/\/+$/, "") + "/"

const isPath = (path: unknown): boolean => typeof path === "string" && /^\/[^?#\s]*$/.test(path)

const PROBLEM = 'must start with "/", and be without query, fragment and spaces, unlike'

/**
 * Reads the option `path`, in its normal form.
 *
 * @since 0.1.0
 * @category decoding
 */
export const read = (option: string | undefined): Effect.Effect<string, InvalidOptionError> => {
  const path = normalize(option)
  return isPath(path) ? Effect.succeed(path) : refuse("path", `${PROBLEM} "${option}"`)
}

/**
 * Whether a request's target is the path, or lies below it. `/socket.io` counts as `/socket.io/`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isBelow = (target: string | undefined, path: string): boolean =>
  target !== undefined &&
  (target.startsWith(path) || (target.startsWith(path.slice(0, -1)) && target.charCodeAt(path.length - 1) === 63))

/** An escape for one of the letters of `sid`. Nobody has to escape them. */
const ESCAPED_SID = /%(?:73|69|64)/

/**
 * Whether the target of a request may open a session: its query names none, or an empty one.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isOpening = (target: string | undefined): boolean => {
  if (target === undefined) return true
  const at = target.lastIndexOf("sid=")
  const isPlain = !target.includes("%") || !ESCAPED_SID.test(target)
  if (at < 0 && isPlain) return true
  // The last one counts. Every poll has it in this form, so that its query need not be parsed. One
  // without a value may follow.
  const isNamed = at > 0 && at + 4 < target.length && target.charCodeAt(at + 4) !== AMPERSAND
  const isLast = isNamed && target.indexOf("sid", at + 4) < 0
  if (isLast && isPlain && isStart(target, at)) return false
  return (queryOf(target).get("sid") ?? "") === ""
}

const AMPERSAND = 38

/** Whether a parameter of a target's query begins there. */
const isStart = (target: string, at: number): boolean => {
  const query = target.indexOf("?") + 1
  return query > 0 && (at === query || (at > query && target.charCodeAt(at - 1) === AMPERSAND))
}
