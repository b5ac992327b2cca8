/**
 * The paths of an engine's requests.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

import type { InvalidOptionError } from "../SocketIoError.ts"
import { refuse } from "./OptionReaders.ts"

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

/**
 * Whether the target of a request may open a session: it names none.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isOpening = (target: string | undefined): boolean => target?.includes("sid=") !== true
