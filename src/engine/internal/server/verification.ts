import type { ResolvedEngineOptions } from "../../EngineOptions.ts"
import type { EngineRequest, EngineRevision } from "../../EngineRequest.ts"
import * as HandshakeError from "../../HandshakeError.ts"
import { isHeaderValue } from "../../HttpHeaders.ts"
import type { AnyTransport, Carriage, TransportDefinition } from "../../Transport.ts"

/** The entrance of a request: a kind of carrier, or the definition of its transport. */
// The definition's carrier is known to the edge alone.
export type Door = Carriage | TransportDefinition<any>

/** A session, as far as further requests for it concern it. */
interface Known {
  readonly revision: EngineRevision
  readonly transport: string
}

/** A request that may be handled: its transport, and its session unless it may open one. */
export interface Verified<Session> {
  readonly definition: AnyTransport
  readonly session: Session | undefined
}

/**
 * Returns the Engine.IO revision of a request. Clients of revision 3 do not always state theirs.
 */
export const revisionOf = (request: EngineRequest): EngineRevision => (request.query.get("EIO") === "4" ? 4 : 3)

/** Checks requests against the protocol, and finds what they are for. */
export class Verification<Session extends Known> {
  private readonly options: ResolvedEngineOptions
  /** The transports that clients may use, by name. */
  private readonly transports: ReadonlyMap<string, AnyTransport>
  private readonly sessions: ReadonlyMap<string, Session>
  private readonly onOriginDefect: (defect: unknown) => void

  /** `onOriginDefect` is told of errors in predicates of `allowedOrigins`. */
  constructor(
    options: ResolvedEngineOptions,
    transports: ReadonlyArray<AnyTransport>,
    sessions: ReadonlyMap<string, Session>,
    onOriginDefect: (defect: unknown) => void
  ) {
    this.options = options
    this.transports = new Map(transports.map((transport) => [transport.name, transport]))
    this.sessions = sessions
    this.onOriginDefect = onOriginDefect
  }

  /** Finds the transport of a request, and its session unless it may open one. */
  verify(request: EngineRequest, door: Door): Verified<Session> | HandshakeError.HandshakeError {
    const { allowedOrigins } = this.options
    if (allowedOrigins !== undefined) {
      const refused = allowedOrigins.refused(request, this.onOriginDefect)
      if (refused !== undefined) return HandshakeError.make(4, `origin ${refused}`, "Origin not allowed", 403)
    }
    const name = request.query.get("transport")
    const definition = name === undefined ? undefined : this.transports.get(name)
    if (definition === undefined) return HandshakeError.make(0, `transport ${name}`)
    const origin = request.header("origin")
    if (origin !== undefined && !isHeaderValue(origin)) return HandshakeError.make(3, "illegal origin")
    const fits = typeof door === "string" ? definition.carriage === door : definition === door
    const sid = request.query.get("sid")
    if (sid !== undefined && sid !== "") {
      const session = this.sessions.get(sid)
      if (session === undefined) return HandshakeError.make(1, `session ${sid}`)
      if (revisionOf(request) !== session.revision) {
        return HandshakeError.make(3, `another revision in a session of revision ${session.revision}`)
      }
      if (door === "request" ? name !== session.transport : !fits || definition.upgrade === undefined) {
        return HandshakeError.make(3, `transport ${name} in a session on ${session.transport}`)
      }
      return { definition, session }
    }
    if (request.method !== "GET") return HandshakeError.make(2, `method ${request.method}`)
    if (!fits) {
      return HandshakeError.make(3, door === "request" ? `${name} without upgrade` : `upgrade for ${name}`)
    }
    if (revisionOf(request) === 3 && !this.options.allowEIO3) {
      return HandshakeError.make(5, `revision ${String(request.query.get("EIO"))}`)
    }
    return { definition, session: undefined }
  }
}
