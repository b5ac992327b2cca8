/**
 * The Engine.IO server: sessions by their ids, and the requests that open, feed, upgrade and close them
 * (Engine.IO protocol 4, and 3 where it is allowed).
 *
 * It knows nothing of the platform: an edge brings requests and WebSockets to it.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

import type { InvalidOptionError } from "../SocketIoError.ts"
import * as Cors from "./Cors.ts"
import { type EngineOptions, resolve, type ResolvedEngineOptions } from "./EngineOptions.ts"
import type { EngineRequest, EngineRevision, HttpExchange } from "./EngineRequest.ts"
import { EngineSession, type SessionClose, type SessionOwner, type SessionSink } from "./EngineSession.ts"
import * as HandshakeError from "./HandshakeError.ts"
import { ClosingTime } from "./ClosingTime.ts"
import { type ConnectionLimit, ConnectionLimits } from "./internal/connectionLimits.ts"
import { Handshake } from "./internal/handshake.ts"
import { Heartbeat } from "./internal/heartbeat.ts"
import { type Headers, isHeaderValue, merge } from "./HttpHeaders.ts"
import { refuse } from "./internal/httpResponses.ts"
import { type EngineStats, statsOf } from "./internal/stats.ts"
import * as TimerWheel from "./TimerWheel.ts"
import type { TransportName, WebSocketChannel } from "./Transport.ts"

/** Sessions that are closed in one turn of the event loop when the server shuts down: more, if time is short. */
const DRAIN_BATCH = 500

/** The pause between two batches, in milliseconds. */
const DRAIN_PAUSE = 10

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
  /** The time of a shutdown, of which closing what is built on the engine is a part. @internal */
  readonly closing: ClosingTime
  /** The number of open sessions. */
  readonly sessionCount: number
  /** Handles a request for the engine's path that is not an upgrade. */
  readonly handleRequest: (exchange: HttpExchange) => void
  /**
   * Decides on a request to upgrade to a WebSocket, before it is answered, and calls back once: maybe later, if the application
   * is asked. Gives the function to call when the peer goes before.
   */
  readonly handleUpgrade: (request: EngineRequest, decide: (decision: UpgradeDecision) => void) => () => void
  /**
   * Refuses new sessions, closes those that are open with reason `server shutting down`, waits until what they buffered is
   * sent, and cuts what is left after `drainTimeout`. The server's scope does it when it closes; doing it twice does no harm,
   * and takes no longer: the time counts from the first on, or from what was closed right before.
   */
  readonly drain: Effect.Effect<void>
  /** Waits, while it drains, until every session is closed and no client that polls has to come once more to hear so. @internal */
  readonly lastPolls: Effect.Effect<void>
  /** What is left of `drainTimeout`, in milliseconds: all of it before anything is drained. */
  readonly drainTimeLeft: () => number
  /** Drops every session at once, with what waits for its client: the end of a drain that nobody answers any more. @internal */
  readonly terminate: () => void
  /** Logs what the edge has thrown, which must not. @internal */
  readonly report: (message: string, defect: unknown) => void
  /** The headers that every response carries. */
  readonly responseHeaders: (request: EngineRequest) => Readonly<Record<string, string | Array<string>>>
}

/**
 * What becomes of a request to upgrade: it is refused, or accepted with these headers, by a function that takes the WebSocket
 * once it is open.
 *
 * @since 0.1.0
 * @category models
 */
export type UpgradeDecision =
  | HandshakeError.HandshakeError
  | {
      readonly headers: Readonly<Record<string, string | Array<string>>> | undefined
      readonly accept: (channel: WebSocketChannel) => void
    }

/**
 * What else an engine tells whoever builds on it.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineEvents {
  /** A request was refused. Called synchronously; what it throws is logged. */
  readonly onRefused?: (error: HandshakeError.HandshakeError) => void
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
export const make = Effect.fnUntraced(function* <R = never>(
  options: EngineOptions<R>,
  onSession: (session: EngineSession) => SessionSink,
  events: EngineEvents = {}
): Effect.fn.Return<EngineServer, InvalidOptionError, R | Scope.Scope> {
  const resolved = yield* resolve(options)
  const maxPause = Math.max(50, Math.min(1_000, resolved.pingInterval, resolved.pingTimeout))
  const wheel = yield* TimerWheel.make(Duration.millis(maxPause))
  // Only the heartbeat asks for services of R, and its schedule has that type.
  const context = (yield* Effect.context<R>()) as Context.Context<never>
  const [released, polled] = [yield* Latch.make(false), yield* Latch.make(false)]
  const server = new Server(resolved, wheel, context, onSession, events, released, polled)
  yield* Effect.acquireRelease(
    Effect.sync(() => server.stats.add(server.sessions)),
    (remove) => Effect.sync(remove)
  )
  yield* Effect.addFinalizer(() => server.drain)
  return server
})

class Server implements EngineServer, SessionOwner {
  readonly options: ResolvedEngineOptions
  readonly wheel: TimerWheel.TimerWheel
  readonly closing: ClosingTime
  readonly heartbeat: Heartbeat
  readonly stats: EngineStats
  /** Every session that holds something: the open ones, and closed ones whose transport is still flushing. */
  readonly sessions = new Map<string, EngineSession>()
  private readonly onSession: (session: EngineSession) => SessionSink
  private readonly events: EngineEvents
  private readonly released: Latch.Latch
  private readonly polled: Latch.Latch
  private readonly handshake: Handshake
  private openCount = 0
  /** When the server's time to drain is over, on the wheel's clock, once it drains. */
  private drainEnd: number | undefined
  /** The sessions over polling that hold something yet, once every session is closed. */
  private polling = Infinity
  private readonly cors: Cors.CorsOptions | undefined
  private readonly limits: ConnectionLimits | undefined
  readonly now: () => number
  readonly after: (millis: number, run: () => void) => () => void
  private readonly warn: (message: string) => void

  constructor(
    options: ResolvedEngineOptions,
    wheel: TimerWheel.TimerWheel,
    context: Context.Context<never>,
    onSession: (session: EngineSession) => SessionSink,
    events: EngineEvents,
    released: Latch.Latch,
    polled: Latch.Latch
  ) {
    this.options = options
    this.wheel = wheel
    this.heartbeat = new Heartbeat(options, wheel, context)
    this.stats = statsOf(context)
    this.now = () => wheel.now()
    this.closing = new ClosingTime(options.drainTimeout, this.now)
    const runFork = Effect.runForkWith(context)
    this.after = (millis, run) => {
      const fiber = runFork(Effect.andThen(millis === 0 ? Effect.yieldNow : Effect.sleep(millis), Effect.sync(run)))
      return () => fiber.interruptUnsafe()
    }
    this.onSession = onSession
    this.events = events
    this.released = released
    this.polled = polled
    this.handshake = new Handshake(options, context, wheel, (id) => this.sessions.has(id))
    this.cors =
      options.cors && Cors.guarded(options.cors, (defect) => this.report("a predicate of cors.origin failed", defect))
    const { maxConnections, maxConnectionsPerAddress } = options
    if (maxConnections !== undefined || maxConnectionsPerAddress !== undefined) {
      this.limits = new ConnectionLimits(maxConnections, maxConnectionsPerAddress)
    }
    this.warn = (message) => void runFork(Effect.logWarning(message))
  }

  get sessionCount(): number {
    return this.openCount
  }

  readonly report = (message: string, defect: unknown): void => this.handshake.report(message, Cause.die(defect))

  readonly responseHeaders = (request: EngineRequest): Headers => {
    const { cors } = this
    const { responseHeaders } = this.options
    if (cors === undefined && responseHeaders === undefined) return SAFE
    const headers = cors === undefined ? SAFE : { ...SAFE, ...Cors.responseHeaders(cors, request) }
    return responseHeaders === undefined ? headers : { ...headers, ...this.handshake.headers(responseHeaders, request) }
  }

  readonly handleRequest = (exchange: HttpExchange): void => {
    try {
      this.takeRequest(exchange)
    } catch (defect) {
      this.onRequestDefect(exchange, defect)
    }
  }

  private onRequestDefect(exchange: HttpExchange, defect: unknown): void {
    this.report("a request failed", defect)
    exchange.respond(500, {}, "")
  }

  private takeRequest(exchange: HttpExchange): void {
    const { cors } = this
    const { request } = exchange
    if (cors !== undefined && request.method === "OPTIONS") {
      exchange.respond(204, Cors.preflightHeaders(cors, request), "")
      return
    }
    const verified = this.verify(request, false)
    if (verified instanceof HandshakeError.HandshakeError) return this.refuse(exchange, verified)
    if (verified !== undefined) {
      if (!verified.onRequest(exchange)) this.refuse(exchange, HandshakeError.make(3, "the session is not polling"))
      return
    }
    const cancel = this.admit(request, (id) => {
      if (id instanceof HandshakeError.HandshakeError) return this.refuse(exchange, id)
      try {
        this.openPolling(exchange, id)
      } catch (defect) {
        this.onRequestDefect(exchange, defect)
      }
    })
    if (cancel !== undefined) exchange.onAbort(cancel)
  }

  private openPolling(exchange: HttpExchange, id: string): void {
    const { cookie, handshakeHeaders } = this.options
    const { request } = exchange
    if (handshakeHeaders !== undefined) exchange.addHeaders(this.handshake.headers(handshakeHeaders, request))
    if (cookie !== undefined) exchange.addHeaders({ "set-cookie": cookie(id) })
    this.open(id, request, (session) => session.openPolling(exchange))
  }

  readonly handleUpgrade = (request: EngineRequest, decide: (decision: UpgradeDecision) => void): (() => void) => {
    const refuse = (error: HandshakeError.HandshakeError) => {
      this.onRefused(error)
      decide(error)
    }
    const verified = this.verify(request, true)
    if (verified instanceof HandshakeError.HandshakeError) refuse(verified)
    else if (verified !== undefined) {
      decide({ headers: this.responseHeaders(request), accept: (channel) => verified.onUpgrade(channel) })
    } else {
      const cancel = this.admit(request, (id) => {
        if (id instanceof HandshakeError.HandshakeError) return refuse(id)
        const { handshakeHeaders } = this.options
        const headers = this.responseHeaders(request)
        decide({
          headers:
            handshakeHeaders === undefined
              ? headers
              : merge(headers, this.handshake.headers(handshakeHeaders, request)),
          accept: (channel) => this.open(id, request, (session) => session.openWebSocket(channel))
        })
      })
      if (cancel !== undefined) return cancel
    }
    return () => {}
  }

  /**
   * Asks the application about a request that would open a session, unless there are too many already (see `Handshake.admit`). One
   * that it has not decided on counts as a connection.
   */
  private admit(
    request: EngineRequest,
    done: (id: string | HandshakeError.HandshakeError) => void
  ): (() => void) | undefined {
    const { limits } = this
    if (limits === undefined) return this.handshake.admit(request, done)
    const { address } = request
    const exceeded = limits.exceeded(address)
    if (exceeded !== undefined) {
      done(this.full(limits, exceeded))
      return undefined
    }
    limits.add(address)
    let isCounted = true
    const forget = () => {
      if (isCounted) limits.remove(address)
      isCounted = false
    }
    const cancel = this.handshake.admit(request, (id) => {
      // A session is counted when it opens, which is now.
      forget()
      done(id)
    })
    return (
      cancel &&
      (() => {
        forget()
        cancel()
      })
    )
  }

  private full(limits: ConnectionLimits, option: ConnectionLimit): HandshakeError.HandshakeError {
    const refused = limits.onRefused(this.wheel.now())
    if (refused !== undefined) {
      this.warn(
        `${option}: ${refused} ${refused === 1 ? "handshake was" : "handshakes were"} refused since this was said last`
      )
    }
    return HandshakeError.make(4, option, "Too many connections", 503)
  }

  private onRefused(error: HandshakeError.HandshakeError): void {
    this.stats.onRefused(error.code)
    try {
      this.events.onRefused?.(error)
    } catch (defect) {
      this.report("onRefused failed", defect)
    }
  }

  private refuse(exchange: HttpExchange, error: HandshakeError.HandshakeError): void {
    this.onRefused(error)
    refuse(exchange, error)
  }

  /** The session that the request belongs to; `undefined` if it may open one. */
  private verify(request: EngineRequest, upgrade: boolean): EngineSession | HandshakeError.HandshakeError | undefined {
    const { allowedOrigins } = this.options
    if (allowedOrigins !== undefined) {
      const refused = allowedOrigins.refused(request, this.onOriginDefect)
      if (refused !== undefined) return HandshakeError.make(4, `origin ${refused}`, "Origin not allowed", 403)
    }
    const transport = request.query.get("transport") as TransportName | undefined
    if (transport === undefined || !this.options.transports.includes(transport)) {
      return HandshakeError.make(0, `transport ${String(transport)}`)
    }
    const origin = request.header("origin")
    if (origin !== undefined && !isHeaderValue(origin)) return HandshakeError.make(3, "illegal origin")
    const sid = request.query.get("sid")
    if (sid !== undefined && sid !== "") {
      const session = this.sessions.get(sid)
      if (session === undefined) return HandshakeError.make(1, `session ${sid}`)
      if (revisionOf(request) !== session.revision) {
        return HandshakeError.make(3, `another revision in a session of revision ${session.revision}`)
      }
      if (upgrade ? transport !== "websocket" : transport !== session.transport) {
        return HandshakeError.make(3, `transport ${transport} in a session on ${session.transport}`)
      }
      return session
    }
    if (request.method !== "GET") return HandshakeError.make(2, `method ${request.method}`)
    if (upgrade !== (transport === "websocket")) {
      return HandshakeError.make(3, upgrade ? "upgrade for polling" : "websocket without upgrade")
    }
    if (revisionOf(request) === 3 && !this.options.allowEIO3) {
      return HandshakeError.make(5, `revision ${String(request.query.get("EIO"))}`)
    }
    return this.drainEnd !== undefined ? HandshakeError.make(4, "the server is shutting down") : undefined
  }

  private readonly onOriginDefect = (defect: unknown): void =>
    this.report("a predicate of allowedOrigins failed", defect)

  private open(id: string, request: EngineRequest, start: (session: EngineSession) => void): void {
    const session = new EngineSession(id, revisionOf(request), request.details(), this)
    this.sessions.set(session.id, session)
    this.limits?.add(session.details.address)
    this.openCount++
    this.stats.opened++
    start(session)
    // What has failed already gets no sink, which would never hear of an end.
    if (!session.isOpen) return
    try {
      session.sink = this.onSession(session)
      session.sink.onOpen()
    } catch (defect) {
      session.onDefect(defect)
    }
  }

  onSessionDefect(session: EngineSession, defect: unknown): void {
    this.handshake.report("a session has failed", Cause.die(defect), { session: session.id })
  }

  onSessionClosed(_session: EngineSession, { reason }: SessionClose): void {
    this.openCount--
    this.stats.onClosed(reason)
  }

  onSessionReleased(session: EngineSession): void {
    this.sessions.delete(session.id)
    this.limits?.remove(session.details.address)
    if (this.drainEnd === undefined) return
    if (session.transport === "polling" && --this.polling === 0) this.polled.openUnsafe()
    if (this.sessions.size === 0) this.released.openUnsafe()
  }

  readonly drainTimeLeft = (): number =>
    this.drainEnd === undefined ? this.options.drainTimeout : Math.max(0, this.drainEnd - this.wheel.now())

  get drain(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { drainTimeout } = this.options
      this.drainEnd ??= this.closing.begin()
      this.handshake.close()
      const sessions = Array.from(this.sessions.values())
      // A pause between batches, so that not everybody comes back at once; half of the time is theirs at the most.
      const batches = Math.max(1, Math.floor(this.drainTimeLeft() / 2 / DRAIN_PAUSE))
      const size = Math.max(DRAIN_BATCH, Math.ceil(sessions.length / batches))
      for (let at = 0; at < sessions.length; at += size) {
        if (at > 0) yield* drainTimeout > 0 ? Effect.sleep(Duration.millis(DRAIN_PAUSE)) : Effect.yieldNow
        for (const session of sessions.slice(at, at + size)) session.closeUnsafe("server shutting down")
      }
      this.polling = 0
      for (const { transport } of this.sessions.values()) if (transport === "polling") this.polling++
      if (this.polling === 0) this.polled.openUnsafe()
      if (this.sessions.size > 0 && this.drainTimeLeft() > 0) {
        yield* Effect.timeoutOption(this.released.await, Duration.millis(this.drainTimeLeft()))
      }
      this.terminate()
      this.polled.openUnsafe()
    })
  }

  get lastPolls(): Effect.Effect<void> {
    return this.polled.await
  }

  readonly terminate = (): void => {
    for (const session of Array.from(this.sessions.values())) session.terminate()
  }
}

/** What every response says: it is what it says it is, and nothing else that a browser may see in it. */
const SAFE: Readonly<Record<string, string>> = { "x-content-type-options": "nosniff" }

/** The revision of Engine.IO that a request is of. Clients of revision 3 do not always say so. */
const revisionOf = (request: EngineRequest): EngineRevision => (request.query.get("EIO") === "4" ? 4 : 3)
