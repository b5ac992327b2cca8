import type { OriginMatcher } from "../Cors.ts"
import type { EngineRequest } from "../EngineRequest.ts"

/** The form of an origin: a scheme, a host, and an optional port. */
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\\\s]*$/i

/** Returns an origin in the form that browsers write; `undefined` for other texts. */
const serialized = (text: string): string | undefined => {
  if (text === "null") return text
  if (!ORIGIN.test(text) || !URL.canParse(text)) return undefined
  const { host, origin, protocol } = new URL(text)
  // The URL standard writes `null` for schemes that it does not know, such as those of apps and
  // extensions. Browsers do not.
  return origin === "null" ? `${protocol}//${host.toLowerCase()}` : origin
}

/** The origins whose pages may use the server, over any transport. */
export class AllowedOrigins {
  private readonly names = new Set<string>()
  private readonly patterns: Array<RegExp> = []
  private readonly predicates: Array<(origin: string) => boolean> = []

  private constructor() {}

  /** Reads the option; returns the problem with it, if there is one. */
  static read(option: OriginMatcher | ReadonlyArray<OriginMatcher>): AllowedOrigins | string {
    const self = new AllowedOrigins()
    for (const matcher of [option].flat() as ReadonlyArray<unknown>) {
      if (typeof matcher === "function") self.predicates.push(matcher as (origin: string) => boolean)
      else if (matcher instanceof RegExp) {
        if (matcher.global || matcher.sticky) return `must not have stateful patterns, as ${String(matcher)}`
        self.patterns.push(matcher)
      } else if (matcher === "*") self.predicates.push(() => true)
      else {
        const origin = typeof matcher === "string" ? serialized(matcher) : undefined
        if (origin === undefined) {
          return `must hold origins, as "https://example.com", patterns or predicates, not "${String(matcher)}"`
        }
        self.names.add(origin)
      }
    }
    return self
  }

  /**
   * Returns the origin of a request if it is not allowed. A predicate that throws does not allow
   * it, and its error is reported.
   */
  refused(request: EngineRequest, onDefect: (defect: unknown) => void): string | undefined {
    const origin = originOf(request)
    return origin === undefined || this.allows(origin, onDefect) ? undefined : origin
  }

  private allows(origin: string, onDefect: (defect: unknown) => void): boolean {
    const { names, patterns, predicates } = this
    if (names.has(origin) || patterns.some((pattern) => pattern.test(origin))) return true
    // Browsers write the origin in the same form as the list.
    const name = names.size === 0 ? undefined : serialized(origin)
    if (name !== undefined && names.has(name)) return true
    for (const predicate of predicates) {
      try {
        // An async predicate returns a promise, which is truthy and would allow every origin.
        if (predicate(origin) === true) return true
      } catch (defect) {
        onDefect(defect)
      }
    }
    return false
  }
}

/**
 * Returns the origin of a request, if a browser sends one. Requests for scripts of other origins
 * (JSONP) have no `Origin`. Their origin comes from the `Referer`, or is `null` if that is
 * withheld.
 */
const originOf = (request: EngineRequest): string | undefined => {
  const origin = request.header("origin")
  if (origin !== undefined) return origin
  const site = request.header("sec-fetch-site")
  const isForeign = site === "cross-site" || site === "same-site"
  if (!isForeign && (site !== undefined || !request.query.has("j"))) return undefined
  const referer = request.header("referer")
  if (referer === undefined || !URL.canParse(referer)) return isForeign ? "null" : undefined
  return new URL(referer).origin
}
