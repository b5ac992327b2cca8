/**
 * A request's query, and the part of the request that its session keeps.
 *
 * @since 0.1.0
 */
import type { ConnectionDetails } from "./EngineRequest.ts"

/** Queries with escapes, or parts that are no parameter: left to `URLSearchParams`. */
const ENCODED = /[%+?]/

const noQuery: ReadonlyMap<string, string> = new Map()

/**
 * The query parameters of a request's target. A parameter that is given more than once has its last
 * value.
 *
 * @since 0.1.0
 * @category getters
 */
export const queryOf = (url: string): ReadonlyMap<string, string> => {
  const start = url.indexOf("?") + 1
  if (start === 0) return noQuery
  const query = url.slice(start)
  // Clients rarely send anything else, and every poll brings them again: this takes half of the
  // time.
  if (!ENCODED.test(query)) return plainQuery(query)
  return new Map(new URLSearchParams(query))
}

const plainQuery = (query: string): ReadonlyMap<string, string> => {
  const parameters = new Map<string, string>()
  // Looked for once, not for each of many parameters that have none.
  let equals = query.indexOf("=")
  for (let at = 0; at < query.length;) {
    let end = query.indexOf("&", at)
    if (end < 0) end = query.length
    if (end > at) {
      if (equals >= 0 && equals < at) equals = query.indexOf("=", at)
      if (equals < 0 || equals >= end) parameters.set(query.slice(at, end), "")
      else parameters.set(query.slice(at, equals), query.slice(equals + 1, end))
    }
    at = end + 1
  }
  return parameters
}

/**
 * The part of a request that lives as long as its session. The query is in the URL, and is read
 * there when it is asked for.
 *
 * @since 0.1.0
 * @category models
 */
export class RequestDetails implements ConnectionDetails {
  readonly headers: Readonly<Record<string, string>>
  readonly url: string
  readonly address: string
  readonly secure: boolean
  readonly issued: number

  constructor(
    headers: Readonly<Record<string, string>>,
    url: string,
    address: string,
    secure: boolean,
    issued: number
  ) {
    this.headers = headers
    this.url = url
    this.address = address
    this.secure = secure
    this.issued = issued
  }

  get query(): ReadonlyMap<string, string> {
    return new Query(queryOf(this.url))
  }
}

/** A map that is an object in JSON, rather than nothing. */
class Query extends Map<string, string> {
  toJSON(): Record<string, string> {
    return Object.fromEntries(this)
  }
}
