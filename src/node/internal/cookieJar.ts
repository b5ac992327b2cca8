import * as Cookies from "effect/http/Cookies"
import * as Duration from "effect/Duration"

interface Kept {
  readonly value: string
  /** In milliseconds since 1970. */
  readonly expires: number
}

/** The number of cookies that one server may set. A browser keeps about as many per site. */
const MAX_COOKIES = 200

/** Returns the origin of an address. WebSockets have the same origin as HTTP. */
export const originOf = (url: string): string => new URL(url.replace(/^ws/, "http")).origin

const nameOf = (pair: string): string => pair.split("=", 1)[0]!.trim()

/**
 * The cookies of one client, in memory (RFC 6265). They are sent back to the origin that has set
 * them, to every address of it: Path, Domain and Secure make no difference within one origin.
 */
export class CookieJar {
  private readonly now: () => number
  private readonly origins = new Map<string, Map<string, Kept>>()

  /** `now`: the time in milliseconds since 1970. */
  constructor(now: () => number) {
    this.now = now
  }

  /** Stores the cookies of a response from this address. */
  store(url: string, setCookie: ReadonlyArray<string>): void {
    if (setCookie.length === 0) return
    const origin = originOf(url)
    let kept = this.origins.get(origin)
    if (kept === undefined) this.origins.set(origin, (kept = new Map()))
    const now = this.now()
    for (const { name, options, valueEncoded } of Object.values(Cookies.fromSetCookie(setCookie).cookies)) {
      // Max-Age takes precedence (RFC 6265, 5.3).
      const maxAge = options?.maxAge
      const expires = maxAge === undefined ? (options?.expires?.getTime() ?? Infinity) : now + Duration.toMillis(maxAge)
      kept.delete(name)
      if (expires <= now) continue
      kept.set(name, { value: valueEncoded, expires })
      if (kept.size > MAX_COOKIES) kept.delete(kept.keys().next().value!)
    }
  }

  /**
   * Returns the headers of a request to this address, with its cookies. Cookies that the headers
   * already have stay, unless the server has set them anew.
   */
  addTo(url: string, headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    const kept = this.origins.get(originOf(url))
    if (kept === undefined) return headers
    const now = this.now()
    for (const [name, { expires }] of kept) if (expires <= now) kept.delete(name)
    if (kept.size === 0) return headers
    const others: Record<string, string> = {}
    const pairs: Array<string> = []
    for (const [header, value] of Object.entries(headers)) {
      if (header.toLowerCase() !== "cookie") others[header] = value
      else pairs.push(...value.split(";").filter((pair) => pair.trim() !== "" && !kept.has(nameOf(pair))))
    }
    for (const [name, { value }] of kept) pairs.push(`${name}=${value}`)
    return { ...others, cookie: pairs.map((pair) => pair.trim()).join("; ") }
  }
}
