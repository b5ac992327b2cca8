/**
 * The cookie with a session's id, for load balancers.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as Result from "effect/Result"

import type { InvalidOptionError } from "../SocketIoError.ts"
import { group, type Names, refuse } from "./OptionReaders.ts"

/**
 * The cookie with a session's id.
 *
 * @since 0.1.0
 * @category options
 */
export interface CookieOptions {
  /** Default: `io`. */
  readonly name?: string
  /** Default: `/`; `false` leaves it out. */
  readonly path?: string | false
  readonly domain?: string
  /** Default: a cookie of the browser's session. */
  readonly maxAge?: Duration.Input
  /** Default: true. */
  readonly httpOnly?: boolean
  /** Default: false. */
  readonly secure?: boolean
  /** Default: false. */
  readonly partitioned?: boolean
  /** Default: `lax`. */
  readonly sameSite?: "lax" | "strict" | "none"
}

const COOKIE: Names<CookieOptions> = {
  name: true,
  path: true,
  domain: true,
  maxAge: true,
  httpOnly: true,
  secure: true,
  partitioned: true,
  sameSite: true
}

/**
 * Returns the function that makes the `Set-Cookie` header for a session's id, unless there is no
 * cookie. Refuses options that make no sense.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  option: boolean | CookieOptions | undefined
): Effect.fn.Return<((id: string) => string) | undefined, InvalidOptionError> {
  if (option === undefined || option === false) return undefined
  const given = yield* group("cookie", option === true ? undefined : option, COOKIE)
  const { httpOnly = true, name = "io", path = "/", sameSite = "lax", ...rest } = given
  const options = { ...rest, httpOnly, sameSite, ...(path === false ? {} : { path }) }
  if (!["lax", "strict", "none"].includes(sameSite)) return yield* refuse("cookie", `unknown sameSite "${sameSite}"`)
  if (rest.maxAge !== undefined && Duration.fromInput(rest.maxAge)._tag === "None") {
    return yield* refuse("cookie", "maxAge must be a duration")
  }
  // An error in the options would appear with every id.
  const checked = Cookies.makeCookie(name, "id", options)
  if (Result.isFailure(checked)) return yield* refuse("cookie", checked.failure.reason._tag)
  return (id: string) => Cookies.serializeCookie(Cookies.makeCookieUnsafe(name, id, options))
})
