/**
 * A request's query, and the part of the request that its session keeps.
 *
 * @since 0.1.0
 */
import type { ConnectionDetails } from "./EngineRequest.ts"

/** Queries with escapes, or with parts that are no parameters: `URLSearchParams` parses them. */
const ENCODED = /[%+?]/

const noQuery: ReadonlyMap<string, string> = new Map()

/**
 * Returns the query parameters of a request's target. A repeated parameter has its last value.
 *
 * @since 0.1.0
 * @category getters
 */
export const queryOf = (url: string): ReadonlyMap<string, string> => {
  const start = url.indexOf("?") + 1
  if (start === 0) return noQuery
  const query = url.slice(start)
  // Clients rarely send other queries, and every poll has one: this takes half of the time.
  if (!ENCODED.test(query)) return plainQuery(query)
  return new Map(new URLSearchParams(query))
}

const plainQuery = (query: string): ReadonlyMap<string, string> => {
  const parameters = new Map<string, string>()
  // Searched for once, and not again for each of many parameters without a value.
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

/** The number of headers from which they are kept as text. Browsers send some 20. */
const MANY_HEADERS = 64

/**
 * Headers as a session keeps them. Nine hundred take 49 kB as an object, and 12 kB as text: a
 * client that opens sessions with so many would make the server hold five times what it has sent.
 *
 * @since 0.1.0
 * @category constructors
 */
export const keepHeaders = (
  headers: Readonly<Record<string, string>>,
  count: number
): Readonly<Record<string, string>> | string => (count < MANY_HEADERS ? headers : JSON.stringify(headers))

/**
 * The part of a request that lives as long as its session. The query is parsed from the URL when it
 * is read, and so are many headers.
 *
 * @since 0.1.0
 * @category models
 */
export class RequestDetails implements ConnectionDetails {
  private readonly head: Readonly<Record<string, string>> | string
  readonly url: string
  readonly address: string
  readonly secure: boolean
  readonly issued: number

  constructor(
    headers: Readonly<Record<string, string>> | string,
    url: string,
    address: string,
    secure: boolean,
    issued: number
  ) {
    this.head = headers
    this.url = url
    this.address = address
    this.secure = secure
    this.issued = issued
  }

  get headers(): Readonly<Record<string, string>> {
    return typeof this.head === "string" ? JSON.parse(this.head) : this.head
  }

  get query(): ReadonlyMap<string, string> {
    return new Query(queryOf(this.url))
  }
}

/** A map that JSON writes as an object of its entries, rather than as an empty one. */
class Query extends Map<string, string> {
  toJSON(): Record<string, string> {
    return Object.fromEntries(this)
  }
}
