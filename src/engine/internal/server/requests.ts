import type { ResolvedEngineOptions } from "../../EngineOptions.ts"
import type { EngineRequest, HttpExchange } from "../../EngineRequest.ts"
import * as Cors from "../../Cors.ts"
import * as HandshakeError from "../../HandshakeError.ts"
import { type Headers, merge } from "../../HttpHeaders.ts"
import type { TransportDefinition } from "../../Transport.ts"
import type { UpgradeDecision } from "../../UpgradeDecision.ts"
import type { Decision } from "../admission.ts"
import { headersFrom, type Report } from "../application.ts"
import type { Session } from "../session/session.ts"
import type { Entrance } from "./entrance.ts"
import type { SessionRegistry } from "./registry.ts"
import type { Door, Verification, Verified } from "./verification.ts"

/** The parts of a server that its requests need. */
export interface RequestsServer {
  readonly verification: Verification<Session>
  readonly entrance: Entrance
  readonly registry: SessionRegistry
  /** The refusal of new sessions, if there must be no more. */
  readonly leavingError: HandshakeError.HandshakeError | undefined
  /** Logs an error of this library. */
  readonly report: (message: string, defect: unknown) => void
}

/** Handles the requests of a server, and brings each to the session that it is for, or opens. */
export class Requests {
  private readonly options: ResolvedEngineOptions
  private readonly server: RequestsServer
  private readonly tellRefused: ((error: HandshakeError.HandshakeError) => void) | undefined
  private readonly reportCause: Report
  private readonly cors: Cors.CorsOptions | undefined

  /** `tellRefused` is code of the application. */
  constructor(
    options: ResolvedEngineOptions,
    server: RequestsServer,
    tellRefused: ((error: HandshakeError.HandshakeError) => void) | undefined,
    reportCause: Report
  ) {
    this.options = options
    this.server = server
    this.tellRefused = tellRefused
    this.reportCause = reportCause
    this.cors =
      options.cors && Cors.guarded(options.cors, (defect) => server.report("a predicate of cors.origin failed", defect))
  }

  /** Returns the headers that every response carries. */
  responseHeaders(request: EngineRequest): Headers {
    const { cors } = this
    const { responseHeaders } = this.options
    if (cors === undefined && responseHeaders === undefined) return SAFE
    const headers = cors === undefined ? SAFE : { ...SAFE, ...Cors.responseHeaders(cors, request) }
    return responseHeaders === undefined
      ? headers
      : { ...headers, ...headersFrom(responseHeaders, request, this.reportCause) }
  }

  /** Handles a request that is no upgrade. */
  handle(exchange: HttpExchange): void {
    try {
      this.take(exchange)
    } catch (defect) {
      this.onDefect(exchange, defect)
    }
  }

  private take(exchange: HttpExchange): void {
    const { cors } = this
    const { request } = exchange
    if (cors !== undefined && request.method === "OPTIONS") {
      exchange.respond(204, Cors.preflightHeaders(cors, request), "")
      return
    }
    const verified = this.verify(request, "request")
    if (verified instanceof HandshakeError.HandshakeError) return this.refuse(exchange, verified)
    const { session } = verified
    if (session !== undefined) {
      if (!session.onRequest(exchange)) this.refuse(exchange, HandshakeError.make(3, "the session is not polling"))
      return
    }
    // The door determines the carrier of a transport that passes it.
    const definition = verified.definition as TransportDefinition<HttpExchange>
    const cancel = this.admit(request, (id) => {
      if (id instanceof HandshakeError.HandshakeError) return this.refuse(exchange, id)
      try {
        this.open(definition, exchange, id)
      } catch (defect) {
        this.onDefect(exchange, defect)
      }
    })
    if (cancel !== undefined) exchange.onAbort(cancel)
  }

  private open(definition: TransportDefinition<HttpExchange>, exchange: HttpExchange, id: string): void {
    const { cookie, handshakeHeaders } = this.options
    const { request } = exchange
    if (handshakeHeaders !== undefined) exchange.addHeaders(headersFrom(handshakeHeaders, request, this.reportCause))
    if (cookie !== undefined) exchange.addHeaders({ "set-cookie": cookie(id) })
    // A session that has ended at once answers the request with that.
    this.server.registry.open(id, request, definition, exchange, (session) => session.onRequest(exchange))
  }

  /**
   * Decides on a request to connect, before it is answered, and calls back once. Returns the
   * function to call if the peer disconnects before that.
   */
  connect<Carrier>(
    door: Door,
    request: EngineRequest,
    decide: (decision: UpgradeDecision<Carrier>) => void
  ): () => void {
    const refuse = (error: HandshakeError.HandshakeError) => {
      this.onRefused(error)
      decide(error)
    }
    const verified = this.verify(request, door)
    if (verified instanceof HandshakeError.HandshakeError) {
      refuse(verified)
      return ignore
    }
    const { session } = verified
    // The door determines the carrier of a transport that passes it.
    const definition = verified.definition as TransportDefinition<Carrier>
    if (session !== undefined) {
      decide({
        headers: this.responseHeaders(request),
        accept: (connection) => session.onUpgrade(definition, connection)
      })
      return ignore
    }
    const cancel = this.admit(request, (id) => {
      if (id instanceof HandshakeError.HandshakeError) return refuse(id)
      const { handshakeHeaders } = this.options
      const headers = this.responseHeaders(request)
      decide({
        headers:
          handshakeHeaders === undefined
            ? headers
            : merge(headers, headersFrom(handshakeHeaders, request, this.reportCause)),
        accept: (connection) => this.server.registry.open(id, request, definition, connection)
      })
    })
    return cancel ?? ignore
  }

  private verify(request: EngineRequest, door: Door): Verified<Session> | HandshakeError.HandshakeError {
    const verified = this.server.verification.verify(request, door)
    const isNew = !(verified instanceof HandshakeError.HandshakeError) && verified.session === undefined
    return (isNew ? this.server.leavingError : undefined) ?? verified
  }

  private admit(request: EngineRequest, decided: (decision: Decision) => void): (() => void) | undefined {
    // The application may take its time.
    return this.server.entrance.admit(request, (decision) => decided(this.server.leavingError ?? decision))
  }

  private onDefect(exchange: HttpExchange, defect: unknown): void {
    this.server.report("a request failed", defect)
    exchange.respond(500, {}, "")
  }

  private onRefused(error: HandshakeError.HandshakeError): void {
    this.server.registry.stats.onRefused(error.code)
    try {
      this.tellRefused?.(error)
    } catch (defect) {
      this.server.report("onRefused failed", defect)
    }
  }

  private refuse(exchange: HttpExchange, error: HandshakeError.HandshakeError): void {
    this.onRefused(error)
    HandshakeError.respond(exchange, error)
  }
}

const ignore = () => {}

/** Prevents browsers from guessing another type for a response. */
const SAFE: Headers = { "x-content-type-options": "nosniff" }
