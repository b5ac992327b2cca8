/**
 * The Engine.IO server: sessions by their ids, and the requests that open, feed, upgrade and close them
 * (Engine.IO protocol 4).
 *
 * It knows nothing of the platform: an edge brings requests and WebSockets to it.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

import type { InvalidOptionError } from "../SocketIoError.ts"
import * as Cors from "./Cors.ts"
import { type EngineOptions, resolve, type ResolvedEngineOptions } from "./EngineOptions.ts"
import type { EngineRequest, HttpExchange } from "./EngineRequest.ts"
import { EngineSession, type SessionOwner, type SessionSink } from "./EngineSession.ts"
import * as HandshakeError from "./HandshakeError.ts"
import { refuse } from "./internal/httpResponses.ts"
import * as TimerWheel from "./internal/timerWheel.ts"
import { makeGenerator } from "./SessionId.ts"
import type { TransportName, WebSocketChannel } from "./Transport.ts"

/** Sessions that are closed in one turn of the event loop when the server shuts down. */
const DRAIN_BATCH = 500

/**
 * The Engine.IO server.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineServer {
  readonly options: ResolvedEngineOptions
  /** Deadlines of whoever builds on the engine, on the timer that all sessions share. @internal */
  readonly wheel: TimerWheel.TimerWheel
  /** The number of open sessions. */
  readonly sessionCount: number
  /** Handles a request for the engine's path that is not an upgrade. */
  readonly handleRequest: (exchange: HttpExchange) => void
  /**
   * Decides on a request to upgrade to a WebSocket, before it is answered: a function that takes the WebSocket once it is
   * open, or the error to refuse with.
   */
  readonly handleUpgrade: (
    request: EngineRequest
  ) => ((channel: WebSocketChannel) => void) | HandshakeError.HandshakeError
  /**
   * Refuses new sessions, closes those that are open with reason `server shutting down`, waits until what they buffered is
   * sent, and cuts what is left after `drainTimeout`. The server's scope does it when it closes; doing it twice does no harm.
   */
  readonly drain: Effect.Effect<void>
  /** The headers that every response carries, for cross-origin requests. */
  readonly corsHeaders: (request: EngineRequest) => Readonly<Record<string, string>> | undefined
}

/**
 * Makes an Engine.IO server whose sessions' messages go to the sinks that `onSession` gives.
 *
 * `onSession` is called synchronously when a session has opened. Closing the scope refuses new sessions, closes those that
 * are open with reason `server shutting down`, waits until what they buffered is sent, and cuts what is left after
 * `drainTimeout`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: EngineOptions,
  onSession: (session: EngineSession) => SessionSink
): Effect.fn.Return<EngineServer, InvalidOptionError, Scope.Scope> {
  const resolved = yield* resolve(options)
  const step = Math.max(5, Math.min(100, resolved.pingInterval / 10, resolved.pingTimeout / 10))
  const wheel = yield* TimerWheel.make(Duration.millis(step))
  const server = new Server(resolved, wheel, onSession, yield* Latch.make(false))
  yield* Effect.addFinalizer(() => server.drain)
  return server
})

class Server implements EngineServer, SessionOwner {
  readonly options: ResolvedEngineOptions
  readonly wheel: TimerWheel.TimerWheel
  private readonly onSession: (session: EngineSession) => SessionSink
  private readonly released: Latch.Latch
  /** Every session that holds something: the open ones, and closed ones whose transport is still flushing. */
  private readonly sessions = new Map<string, EngineSession>()
  private readonly generateId = makeGenerator()
  private openCount = 0
  private draining = false

  constructor(
    options: ResolvedEngineOptions,
    wheel: TimerWheel.TimerWheel,
    onSession: (session: EngineSession) => SessionSink,
    released: Latch.Latch
  ) {
    this.options = options
    this.wheel = wheel
    this.onSession = onSession
    this.released = released
  }

  get sessionCount(): number {
    return this.openCount
  }

  readonly corsHeaders = (request: EngineRequest) =>
    this.options.cors === undefined ? undefined : Cors.responseHeaders(this.options.cors, request)

  readonly handleRequest = (exchange: HttpExchange): void => {
    const { request } = exchange
    const { cors } = this.options
    if (cors !== undefined && request.method === "OPTIONS") {
      return exchange.respond(204, Cors.preflightHeaders(cors, request), "")
    }
    const sid = request.query.get("sid")
    const verified = this.verify(request, sid, false)
    if (verified instanceof HandshakeError.HandshakeError) return refuse(exchange, verified)
    if (verified !== undefined) {
      if (!verified.onRequest(exchange)) refuse(exchange, HandshakeError.make(3, "the session is not polling"))
      return
    }
    this.open((session) => session.openPolling(exchange), request)
  }

  readonly handleUpgrade = (request: EngineRequest) => {
    const sid = request.query.get("sid")
    const verified = this.verify(request, sid, true)
    if (verified instanceof HandshakeError.HandshakeError) return verified
    if (verified !== undefined) return (channel: WebSocketChannel) => verified.onUpgrade(channel)
    return (channel: WebSocketChannel) => this.open((session) => session.openWebSocket(channel), request)
  }

  /** The session that the request belongs to; `undefined` if it may open one. */
  private verify(
    request: EngineRequest,
    sid: string | undefined,
    upgrade: boolean
  ): EngineSession | HandshakeError.HandshakeError | undefined {
    const transport = request.query.get("transport") as TransportName | undefined
    if (transport === undefined || !this.options.transports.includes(transport)) {
      return HandshakeError.make(0, `transport ${String(transport)}`)
    }
    const origin = request.header("origin")
    if (origin !== undefined && !isHeaderValue(origin)) return HandshakeError.make(3, "illegal origin")
    const revision = request.query.get("EIO")
    if (sid !== undefined && sid !== "") {
      const session = this.sessions.get(sid)
      if (session === undefined) return HandshakeError.make(1, `session ${sid}`)
      if (revision !== "4") return HandshakeError.make(3, `revision ${String(revision)} in a session of revision 4`)
      if (upgrade ? transport !== "websocket" : transport !== session.transportName) {
        return HandshakeError.make(3, `transport ${transport} in a session on ${session.transportName}`)
      }
      return session
    }
    if (request.method !== "GET") return HandshakeError.make(2, `method ${request.method}`)
    if (upgrade !== (transport === "websocket")) {
      return HandshakeError.make(3, upgrade ? "upgrade for polling" : "websocket without upgrade")
    }
    if (revision !== "4") return HandshakeError.make(5, `revision ${String(revision)}`)
    if (this.draining) return HandshakeError.make(4, "the server is shutting down")
    return undefined
  }

  private open(start: (session: EngineSession) => void, request: EngineRequest): void {
    const session = new EngineSession(this.generateId(), 4, request.details(), this)
    this.sessions.set(session.id, session)
    this.openCount++
    start(session)
    session.sink = this.onSession(session)
    session.sink.onOpen()
  }

  onSessionClosed(_session: EngineSession): void {
    this.openCount--
  }

  onSessionReleased(session: EngineSession): void {
    this.sessions.delete(session.id)
    if (this.draining && this.sessions.size === 0) this.released.openUnsafe()
  }

  get drain(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      this.draining = true
      let count = 0
      for (const session of Array.from(this.sessions.values())) {
        session.closeUnsafe("server shutting down")
        if (++count % DRAIN_BATCH === 0) yield* Effect.yieldNow
      }
      if (this.sessions.size > 0 && this.options.drainTimeout > 0) {
        yield* Effect.timeoutOption(this.released.await, Duration.millis(this.options.drainTimeout))
      }
      for (const session of Array.from(this.sessions.values())) session.terminate()
    })
  }
}

/** Whether Node and browsers would send this as a header's value. */
const isHeaderValue = (value: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(value)
