/**
 * Cross-origin requests: the origins whose pages may use the server (Fetch standard, "CORS
 * protocol").
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"

import type { InvalidOptionError } from "../SocketIoError.ts"
import type { EngineRequest } from "./EngineRequest.ts"
import { isHeaderValue, isNameList } from "./HttpHeaders.ts"
import { group, type Names, refuse } from "./OptionReaders.ts"

/**
 * @since 0.1.0
 * @category options
 */
export interface CorsOptions {
  /**
   * The allowed origins: `"*"` allows any, `true` allows and repeats the requesting one; otherwise
   * a string, a pattern, a predicate, or a list of these. Default: `"*"`.
   */
  readonly origin?: true | OriginMatcher | ReadonlyArray<OriginMatcher>
  /**
   * Whether browsers may send cookies and HTTP authentication. Not possible with origin `"*"`,
   * alone or in a list. Default: false.
   */
  readonly credentials?: boolean
  /** Default: GET, POST. */
  readonly methods?: ReadonlyArray<string>
  /** The allowed request headers. Default: those that the browser asks for. */
  readonly allowedHeaders?: ReadonlyArray<string>
  /** The response headers that pages may read. Default: none beyond the safe ones. */
  readonly exposedHeaders?: ReadonlyArray<string>
  /**
   * The time for which a browser may remember the answer to a preflight request, in seconds.
   * Default: the browser's own.
   */
  readonly maxAge?: number
}

/**
 * @since 0.1.0
 * @category options
 */
export type OriginMatcher = string | RegExp | ((origin: string) => boolean)

const CORS: Names<CorsOptions> = {
  origin: true,
  credentials: true,
  methods: true,
  allowedHeaders: true,
  exposedHeaders: true,
  maxAge: true
}

/**
 * Refuses options that make no sense.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  option: CorsOptions | undefined
): Effect.fn.Return<CorsOptions | undefined, InvalidOptionError> {
  if (option === undefined) return undefined
  const options = yield* group("cors", option, CORS)
  // Browsers refuse credentials together with every origin. A refusal here is noticed earlier than
  // one in a page.
  if (options.credentials === true && [options.origin ?? "*"].flat().includes("*")) {
    const problem = 'needs cors.origin to say which origins may send them (or true for any), not "*"'
    return yield* refuse("cors.credentials", problem)
  }
  // An invalid header would fail every response.
  for (const setting of ["methods", "allowedHeaders", "exposedHeaders"] as const) {
    const names = options[setting]
    if (names === undefined) continue
    if (!Array.isArray(names) || !names.every((name) => typeof name === "string" && isHeaderValue(name))) {
      return yield* refuse(`cors.${setting}`, "must be a list of names")
    }
  }
  return options
})

/**
 * Returns the same options with predicates that do not throw: if one throws, the origin is not
 * allowed, and `onDefect` gets the error. A page's request must not end the process.
 *
 * @since 0.1.0
 * @category combinators
 */
export const guarded = (options: CorsOptions, onDefect: (defect: unknown) => void): CorsOptions => {
  const { origin } = options
  if (origin === undefined || origin === true) return options
  const guard = (matcher: OriginMatcher): OriginMatcher =>
    typeof matcher !== "function"
      ? matcher instanceof RegExp
        ? stateless(matcher)
        : matcher
      : (origin) => {
          try {
            // An async predicate returns a promise, which is truthy and would allow every origin.
            return matcher(origin) === true
          } catch (defect) {
            onDefect(defect)
            return false
          }
        }
  return { ...options, origin: isList(origin) ? origin.map(guard) : guard(origin) }
}

const isList = (origin: OriginMatcher | ReadonlyArray<OriginMatcher>): origin is ReadonlyArray<OriginMatcher> =>
  Array.isArray(origin)

const matches = (matcher: OriginMatcher, origin: string): boolean =>
  Predicate.isString(matcher)
    ? matcher === "*" || matcher === origin
    : matcher instanceof RegExp
      ? stateless(matcher).test(origin)
      : matcher(origin)

/** A stateful pattern (flags g, y) would match only every other time. */
const stateless = (pattern: RegExp): RegExp =>
  pattern.global || pattern.sticky ? new RegExp(pattern.source, pattern.flags.replaceAll(/[gy]/g, "")) : pattern

/**
 * Returns the response headers for the request's origin; none if it is not allowed.
 *
 * @since 0.1.0
 * @category combinators
 */
export const responseHeaders = (options: CorsOptions, request: EngineRequest): Record<string, string> => {
  const allowed = options.origin ?? "*"
  const headers: Record<string, string> = {}
  if (allowed === "*") headers["access-control-allow-origin"] = "*"
  else {
    headers.vary = "Origin"
    const origin = request.header("origin")
    // Lenient HTTP parsers accept values that cannot be sent back.
    if (origin === undefined || !isHeaderValue(origin)) return headers
    const matchers = allowed === true ? ["*"] : isList(allowed) ? allowed : [allowed]
    if (!matchers.some((matcher) => matches(matcher, origin))) return headers
    headers["access-control-allow-origin"] = origin
  }
  if (options.credentials === true) headers["access-control-allow-credentials"] = "true"
  if (options.exposedHeaders !== undefined && options.exposedHeaders.length > 0) {
    headers["access-control-expose-headers"] = options.exposedHeaders.join(",")
  }
  return headers
}

/**
 * The headers of the answer to a preflight request.
 *
 * @since 0.1.0
 * @category combinators
 */
export const preflightHeaders = (options: CorsOptions, request: EngineRequest): Record<string, string> => {
  const headers = responseHeaders(options, request)
  if (headers["access-control-allow-origin"] === undefined) return headers
  headers["access-control-allow-methods"] = (options.methods ?? ["GET", "POST"]).join(",")
  const asked = request.header("access-control-request-headers")
  if (options.allowedHeaders !== undefined) headers["access-control-allow-headers"] = options.allowedHeaders.join(",")
  else if (asked !== undefined && isNameList(asked)) {
    headers["access-control-allow-headers"] = asked
    headers.vary =
      headers.vary === undefined ? "Access-Control-Request-Headers" : `${headers.vary}, Access-Control-Request-Headers`
  }
  if (options.maxAge !== undefined) headers["access-control-max-age"] = String(options.maxAge)
  return headers
}
