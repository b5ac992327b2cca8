/** What has to be decoded, or is not a parameter at all: left to `URLSearchParams`. */
const ENCODED = /[%+?]/

const noQuery: ReadonlyMap<string, string> = new Map()

/** The query parameters of a request's target. Of one that is given more than once the last value stays. */
export const queryOf = (url: string): ReadonlyMap<string, string> => {
  const start = url.indexOf("?") + 1
  if (start === 0) return noQuery
  const query = url.slice(start)
  // Clients rarely send anything else, and every poll brings them again: this takes half of the time.
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
