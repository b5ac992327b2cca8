import type { ConnectionDetails, EngineRequest } from "../../engine/EngineRequest.ts"
import { keepHeaders, queryOf, RequestDetails } from "../../engine/RequestDetails.ts"
import { addressOf, type Trust } from "../../engine/TrustedProxies.ts"

/** The facts of a connection that its requests do not tell. */
export interface RequestInfo {
  /** The address of the peer. Empty if there is none. */
  readonly address: string
  /** Whether the connection to this server is encrypted. */
  readonly secure: boolean
}

/** The target of a request: its URL without the origin. */
export const targetOf = ({ url }: Request): string => {
  const path = url.indexOf("/", url.indexOf("//") + 2)
  return path < 0 ? "/" : url.slice(path)
}

/** A request of the fetch API for the engine's path. */
export class WebRequest implements EngineRequest {
  readonly method: string
  readonly query: ReadonlyMap<string, string>
  readonly request: Request
  private readonly target: string
  private readonly info: RequestInfo
  private readonly trust: Trust | undefined
  private known: ConnectionDetails | undefined

  constructor(request: Request, target: string, info: RequestInfo, trust: Trust | undefined) {
    this.request = request
    this.method = request.method
    this.target = target
    this.query = queryOf(target)
    this.info = info
    this.trust = trust
  }

  get address(): string {
    if (this.known !== undefined) return this.known.address
    const { address } = this.info
    return this.trust === undefined ? address : addressOf(address, this.header("x-forwarded-for"), this.trust)
  }

  header(name: string): string | undefined {
    return this.request.headers.get(name) ?? undefined
  }

  /**
   * Some platforms forget a request when it becomes a WebSocket: then they are read before that.
   */
  details(): ConnectionDetails {
    if (this.known !== undefined) return this.known
    const headers = Array.from(this.request.headers)
    return (this.known = new RequestDetails(
      keepHeaders(Object.fromEntries(headers), headers.length),
      this.target,
      this.address,
      this.info.secure,
      Date.now()
    ))
  }
}
