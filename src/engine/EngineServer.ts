/**
 * The Engine.IO server: the sessions by their ids, and the requests that open, feed, upgrade and
 * close them (Engine.IO protocol 4, and 3 where it is allowed).
 *
 * It is independent of the platform: an edge passes requests and WebSockets to it.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { InvalidOptionError } from "../SocketIoError.ts"
import type { Overflow, OverflowError, StreamOptions } from "../StreamOptions.ts"
import { ClosingTime } from "./ClosingTime.ts"
import * as Cors from "./Cors.ts"
import * as Drain from "./Drain.ts"
import { type EngineOptions, resolve, type ResolvedEngineOptions } from "./EngineOptions.ts"
import type { EngineBytes, EngineTraffic } from "./EngineMetrics.ts"
import type { EngineRequest, EngineRevision, HttpExchange } from "./EngineRequest.ts"
import { EngineSession, type SessionClose, type SessionHandler, type SessionOwner } from "./EngineSession.ts"
import * as HandshakeError from "./HandshakeError.ts"
import { type Headers, isHeaderValue, merge } from "./HttpHeaders.ts"
import { Admission } from "./internal/admission.ts"
import { headersFrom, makeReport, type Report } from "./internal/application.ts"
import { type ConnectionLimit, ConnectionLimits } from "./internal/connectionLimits.ts"
import { Heartbeat } from "./internal/heartbeat.ts"
import { type Passing, PassingSession } from "./internal/leaving.ts"
import { Mover, type ShutdownStep } from "./internal/mover.ts"
import type { Retirement } from "./internal/retiring.ts"
import { handlerOf, HOLD, SessionStreams } from "./internal/sessionEffects.ts"
import { type EngineStats, statsOf } from "./internal/stats.ts"
import * as Readiness from "./Readiness.ts"
import { Routes } from "./Routes.ts"
import * as TimerWheel from "./TimerWheel.ts"
import type { AnyTransport, Carriage, TransportDefinition, WebSocketChannel } from "./Transport.ts"
import { Transports } from "./Transports.ts"

/**
 * The number of sessions that are closed in one turn of the event loop at shutdown. It is larger if
 * time is short.
 */
const DRAIN_BATCH = 500

/** The pause between two batches, in milliseconds. */
const DRAIN_PAUSE = 10

/**
 * The Engine.IO server.
 *
 * **Details**
 *
 * {@link make} and {@link run} make one. It does nothing until an edge passes requests to it: in Node,
 * `NodeEngine.attach`. A server of namespaces has one of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineServer {
  readonly options: ResolvedEngineOptions
  /**
   * The timer that all sessions share. Code on top of the engine uses it for deadlines, too.
   * @internal
   */
  readonly wheel: TimerWheel.TimerWheel
  /**
   * The time of a shutdown, which includes closing everything on top of the engine. @internal
   */
  readonly closing: ClosingTime
  /** The number of open sessions. */
  readonly sessionCount: number
  /** The number of open sessions by the transports that they use now. */
  readonly sessionsByTransport: ReadonlyMap<string, number>
  /** The counts since the start, of all servers that share this one's metrics. */
  readonly traffic: () => EngineTraffic
  /** The same for bytes. It takes time for each session. */
  readonly trafficBytes: () => EngineBytes
  /**
   * Streams the sessions that open from now on. The stream ends with the server.
   *
   * **Details**
   *
   * A server that is made without a handler holds the first 1,000 messages of each session for the
   * first stream of its `messages`, and then stops reading from the client; see {@link make}.
   */
  sessions<O extends Exclude<Overflow, "suspend"> = "fail">(
    options?: StreamOptions<O>
  ): Stream.Stream<EngineSession, OverflowError<O>>
  /** Handles an HTTP request for the engine's path that is no upgrade. */
  readonly handleRequest: (exchange: HttpExchange) => void
  /**
   * Decides on a request to upgrade to a WebSocket, before it is answered, and calls back once:
   * maybe later, if the application decides. Returns the function to call if the peer disconnects
   * before that.
   */
  readonly handleUpgrade: (request: EngineRequest, decide: (decision: UpgradeDecision) => void) => () => void
  /** The same for a connection of another kind, which becomes a transport with this definition. */
  readonly handleConnection: <Carrier>(
    definition: TransportDefinition<Carrier>,
    request: EngineRequest,
    decide: (decision: UpgradeDecision<Carrier>) => void
  ) => () => void
  /**
   * Refuses new sessions, closes open ones with reason `server shutting down`, waits until their
   * messages are sent, and cuts the rest after `drainTimeout`. The server's scope does this when it
   * closes. A second drain does no harm and takes no longer: the time counts from the first one, or
   * from a shutdown that began right before. With `onShutdown`, sessions are moved first, as
   * {@link move} does.
   */
  readonly drain: Effect.Effect<void>
  /** Whether new clients should come. `draining` from the begin of {@link move} or a shutdown on. */
  readonly readiness: Effect.Effect<Readiness.Readiness>
  /** The readiness, and then each change. A slow reader delays nothing. */
  readonly readinessChanges: Stream.Stream<Readiness.Readiness>
  /** The server is not ready for this reason until the scope closes. */
  readonly notReady: (reason: Readiness.NotReady) => Effect.Effect<void, never, Scope.Scope>
  /** The answers to requests for other paths than the engine's. */
  readonly routes: Routes
  /**
   * Moves all sessions to other servers, a few at a time: each is closed with reason `server
   * shutting down`, after what waits for it was sent, and what the client had sent before it knew is
   * still handled. New sessions are refused when `notice` is over, with status 503, and from then
   * on.
   *
   * Fails with `InvalidOptionError` on an option that makes no sense. Interruption leaves sessions
   * whose turn has not come where they are, and the server is ready again.
   */
  readonly move: (options?: Drain.DrainOptions) => Effect.Effect<Drain.DrainReport, InvalidOptionError>
  /** The same, with an effect that belongs to it. @internal */
  readonly moveThen: (
    options: Drain.DrainOptions | undefined,
    last: Effect.Effect<void>
  ) => Effect.Effect<Drain.DrainReport, InvalidOptionError>
  /**
   * A step of a shutdown. With `onShutdown` the sessions that are concerned move first. Default: all
   * sessions, and nothing else.
   * @internal
   */
  readonly moveForShutdown: (step?: ShutdownStep<EngineSession>) => Effect.Effect<void>
  /** Moves one session, because a server that passes its connection on is to end. @internal */
  readonly moveSession: (id: string, within: number) => void
  /**
   * Closes a session whose time is over, after what waits for it was sent. Of many at once, each
   * waits for its turn. @internal
   */
  readonly retire: (session: EngineSession, retirement: Retirement) => void
  /**
   * A connection passes through this server to the owner of its session: it moves with the others.
   * Returns the function to call when it has closed.
   * @internal
   */
  readonly addPassing: (passing: Passing) => () => void
  /** The refusal of new sessions, if there must be no more. @internal */
  readonly leavingError: HandshakeError.HandshakeError | undefined
  /** Something opens, so it was no shutdown. @internal */
  readonly forgetShutdown: () => void
  /**
   * Waits, during a drain, until every polling client has come once more to learn of the end.
   * @internal
   */
  readonly lastPolls: Effect.Effect<void>
  /** Waits until a drain begins. @internal */
  readonly draining: Effect.Effect<void>
  /**
   * Puts the tag of this server in front of the ids of new sessions (see `SessionId`). The ids of
   * `generateId` stay as they are. @internal
   */
  readonly tagSessions: (tag: string) => void
  /** The rest of `drainTimeout`, in milliseconds: all of it before the drain. */
  readonly drainTimeLeft: () => number
  /**
   * Drops every session at once, with its messages: the end of a drain that clients do not answer.
   * @internal
   */
  readonly terminate: () => void
  /** Logs an error that the edge has thrown, which is a bug. @internal */
  readonly report: (message: string, defect: unknown) => void
  /** Returns the headers that every response carries. */
  readonly responseHeaders: (request: EngineRequest) => Readonly<Record<string, string | Array<string>>>
}

/**
 * The decision on a request to upgrade: it is refused, or accepted with these headers and a
 * function that takes the connection once it is open.
 *
 * @since 0.1.0
 * @category models
 */
export type UpgradeDecision<Carrier = WebSocketChannel> =
  | HandshakeError.HandshakeError
  | {
      readonly headers: Readonly<Record<string, string | Array<string>>> | undefined
      readonly accept: (connection: Carrier) => void
    }

/**
 * Events of an engine beside its sessions.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineEvents {
  /** A request was refused. Called synchronously; an error that it throws is logged. */
  readonly onRefused?: (error: HandshakeError.HandshakeError) => void
}

/**
 * Makes an Engine.IO server. Applications use {@link run}, or the server's `sessions`. `onSession`
 * is for code that needs the messages synchronously.
 *
 * **Details**
 *
 * `onSession` is called synchronously when a session has opened, and returns the handler of its
 * messages. Without it the messages go to the streams of the session.
 *
 * Closing the scope refuses new sessions, closes open ones with reason `server shutting down`,
 * waits until their messages are sent, and cuts the rest after `drainTimeout`. Fails with
 * `InvalidOptionError` on an option that makes no sense.
 *
 * **Gotchas**
 *
 * Without `onSession`, reading from the client of a session stops when 1,000 messages wait for a
 * first reader. Run `session.messages()` even if you drop all messages.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* <R = never>(
  options: EngineOptions<R>,
  onSession: (session: EngineSession) => SessionHandler = HOLD,
  events: EngineEvents = {}
): Effect.fn.Return<EngineServer, InvalidOptionError, R | Scope.Scope> {
  // Only the heartbeat needs services of R, and its schedule has that type.
  const context = (yield* Effect.context<R>()) as Context.Context<never>
  const transports = yield* Transports
  const resolved = yield* resolve(
    options,
    transports.map(({ name }) => name)
  )
  const maxPause = Math.max(50, Math.min(1_000, resolved.pingInterval, resolved.pingTimeout))
  const wheel = yield* TimerWheel.make(Duration.millis(maxPause))
  const latches = {
    draining: Latch.makeUnsafe(false),
    released: Latch.makeUnsafe(false),
    polled: Latch.makeUnsafe(false)
  }
  // This is forked before the drain is added to the scope, so it closes after the drain: transports
  // flush while they drain.
  const scope = yield* Scope.fork(yield* Effect.scope)
  const readiness = yield* Readiness.make
  const server = new Server(resolved, transports, wheel, context, scope, onSession, events, latches, readiness)
  yield* Effect.acquireRelease(
    Effect.sync(() => server.stats.add(server.registry)),
    (remove) => Effect.sync(remove)
  )
  yield* Effect.addFinalizer(() => server.drain)
  return server
})

/**
 * Makes an Engine.IO server that runs an effect for each session.
 *
 * **Details**
 *
 * The effect starts when the session opens, in a scope of its own. The session closes when the
 * effect ends: with reason `forced close`, or with `internal error` if it has failed, which is
 * logged. When the session ends first, the effect is interrupted after the streams of the session's
 * messages have been read to their ends. Closing the server's scope closes the sessions (see
 * {@link make}), and waits for the effects.
 *
 * **Gotchas**
 *
 * An effect that does not read the messages must drop them, for example with
 * `Effect.forkScoped(Stream.runDrain(session.messages()))`: the first 1,000 are held for it, and
 * then reading from the client stops.
 *
 * Work after the end of a stream may be interrupted if it takes time: put it into a finalizer.
 *
 * **Example** (An echo server)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import { EngineServer } from "effect-socket.io/engine"
 * import { NodeEngine } from "effect-socket.io/node"
 * import * as Http from "node:http"
 *
 * const echo = Effect.gen(function* () {
 *   const engine = yield* EngineServer.run({}, (session) => Stream.run(session.messages(), session.sink))
 *   const server = Http.createServer().listen(3000)
 *   yield* NodeEngine.attach(engine, server)
 *   return yield* Effect.never
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = Effect.fnUntraced(function* <E, R2, R = never>(
  options: EngineOptions<R>,
  onSession: (session: EngineSession) => Effect.Effect<unknown, E, R2>,
  events: EngineEvents = {}
): Effect.fn.Return<EngineServer, InvalidOptionError, R | Exclude<R2, Scope.Scope> | Scope.Scope> {
  const context = yield* Effect.context<Exclude<R2, Scope.Scope>>()
  // This is forked before the engine is added to the scope, so it closes after the engine: it waits
  // for the effects of all sessions.
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
  return yield* make(options, handlerOf(onSession, context, scope), events)
})

class Server extends Inspectable.Class implements EngineServer, SessionOwner {
  readonly options: ResolvedEngineOptions
  readonly wheel: TimerWheel.TimerWheel
  readonly closing: ClosingTime
  private readonly readinessState: Readiness.ReadinessState
  readonly routes: Routes = new Routes()
  readonly heartbeat: Heartbeat
  readonly stats: EngineStats
  readonly context: Context.Context<never>
  readonly scope: Scope.Closeable
  readonly upgrades: ReadonlyArray<string>
  /**
   * The sessions that hold resources: open ones, and closed ones whose transport is still flushing.
   */
  readonly registry = new Map<string, EngineSession>()
  /** The transports that clients may use, by name. */
  private readonly transports = new Map<string, AnyTransport>()
  private readonly streams: SessionStreams
  private readonly onSession: (session: EngineSession) => SessionHandler
  private readonly events: EngineEvents
  private readonly latches: Latches
  private readonly admission: Admission
  private readonly reportCause: Report
  private openCount = 0
  readonly sessionsByTransport = new Map<string, number>()
  /** The end of the drain, on the wheel's clock, once it has begun. */
  private drainEnd: number | undefined
  /** The polling sessions that still hold resources, once every session is closed. */
  private polling = Infinity
  private readonly cors: Cors.CorsOptions | undefined
  private readonly limits: ConnectionLimits | undefined
  private isFull = false
  private readonly mover: Mover<EngineSession | PassingSession>
  private readonly passing = new Set<PassingSession>()
  /** Whether any session has ever been opened. */
  private wasUsed = false
  readonly now: () => number
  readonly after: (millis: number, run: () => void) => () => void
  private readonly warn: (message: string) => void

  constructor(
    options: ResolvedEngineOptions,
    transports: ReadonlyArray<AnyTransport>,
    wheel: TimerWheel.TimerWheel,
    context: Context.Context<never>,
    scope: Scope.Closeable,
    onSession: (session: EngineSession) => SessionHandler,
    events: EngineEvents,
    latches: Latches,
    readiness: Readiness.ReadinessState
  ) {
    super()
    this.options = options
    this.wheel = wheel
    this.context = context
    this.scope = scope
    this.streams = new SessionStreams(scope)
    this.readinessState = readiness
    this.heartbeat = new Heartbeat(options, wheel, context)
    this.stats = statsOf(context)
    for (const transport of transports) {
      this.stats.addTransport(transport.name)
      if (options.transports.includes(transport.name)) this.transports.set(transport.name, transport)
    }
    this.upgrades = Array.from(this.transports.values()).flatMap((transport) =>
      transport.upgrade === undefined ? [] : [transport.name]
    )
    this.now = () => wheel.now()
    this.closing = new ClosingTime(options.drainTimeout, this.now)
    const runFork = Effect.runForkWith(context)
    this.after = (millis, run) => {
      const fiber = runFork(Effect.andThen(millis === 0 ? Effect.yieldNow : Effect.sleep(millis), Effect.sync(run)))
      return () => fiber.interruptUnsafe()
    }
    this.onSession = onSession
    this.events = events
    this.latches = latches
    this.reportCause = makeReport(context, this.now)
    this.admission = new Admission(options, context, wheel, (id) => this.registry.has(id), this.reportCause)
    this.cors =
      options.cors && Cors.guarded(options.cors, (defect) => this.report("a predicate of cors.origin failed", defect))
    const { maxConnections, maxConnectionsPerAddress } = options
    if (maxConnections !== undefined || maxConnectionsPerAddress !== undefined) {
      this.limits = new ConnectionLimits(maxConnections, maxConnectionsPerAddress)
    }
    this.warn = (message) => void runFork(Effect.logWarning(message))
    const { passing, registry } = this
    this.mover = new Mover<EngineSession | PassingSession>(
      {
        get sessions() {
          return [...registry.values(), ...passing]
        },
        wheel,
        after: this.after
      },
      readiness
    )
  }

  override toJSON(): unknown {
    return { _id: "EngineServer", sessionCount: this.openCount }
  }

  get sessionCount(): number {
    return this.openCount
  }

  readonly traffic = (): EngineTraffic => this.stats.traffic()

  readonly trafficBytes = (): EngineBytes => this.stats.bytes()

  sessions<O extends Exclude<Overflow, "suspend"> = "fail">(
    options: StreamOptions<O> = {}
  ): Stream.Stream<EngineSession, OverflowError<O>> {
    return this.streams.open(options)
  }

  readonly report = (message: string, defect: unknown): void => this.reportCause(message, Cause.die(defect))

  readonly responseHeaders = (request: EngineRequest): Headers => {
    const { cors } = this
    const { responseHeaders } = this.options
    if (cors === undefined && responseHeaders === undefined) return SAFE
    const headers = cors === undefined ? SAFE : { ...SAFE, ...Cors.responseHeaders(cors, request) }
    return responseHeaders === undefined
      ? headers
      : { ...headers, ...headersFrom(responseHeaders, request, this.reportCause) }
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
    const verified = this.verify(request, "request")
    if (verified instanceof HandshakeError.HandshakeError) return this.refuse(exchange, verified)
    const { session } = verified
    if (session !== undefined) {
      if (!session.onRequest(exchange)) this.refuse(exchange, HandshakeError.make(3, "the session is not polling"))
      return
    }
    const definition = verified.definition as TransportDefinition<HttpExchange>
    const cancel = this.admit(request, (id) => {
      if (id instanceof HandshakeError.HandshakeError) return this.refuse(exchange, id)
      try {
        this.openByRequest(definition, exchange, id)
      } catch (defect) {
        this.onRequestDefect(exchange, defect)
      }
    })
    if (cancel !== undefined) exchange.onAbort(cancel)
  }

  private openByRequest(definition: TransportDefinition<HttpExchange>, exchange: HttpExchange, id: string): void {
    const { cookie, handshakeHeaders } = this.options
    const { request } = exchange
    if (handshakeHeaders !== undefined) exchange.addHeaders(headersFrom(handshakeHeaders, request, this.reportCause))
    if (cookie !== undefined) exchange.addHeaders({ "set-cookie": cookie(id) })
    this.open(id, request, definition, exchange, (session) => session.onRequest(exchange))
  }

  readonly handleUpgrade = (request: EngineRequest, decide: (decision: UpgradeDecision) => void): (() => void) =>
    this.connect("websocket", request, decide)

  readonly handleConnection = <Carrier>(
    definition: TransportDefinition<Carrier>,
    request: EngineRequest,
    decide: (decision: UpgradeDecision<Carrier>) => void
  ): (() => void) => this.connect(definition, request, decide)

  private connect<Carrier>(
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
        accept: (connection) => this.open(id, request, definition, connection)
      })
    })
    return cancel ?? ignore
  }

  /**
   * Decides on a request that would open a session, unless there are too many already (see
   * `Admission.admit`). An undecided request counts as a connection.
   */
  private admit(
    request: EngineRequest,
    decided: (id: string | HandshakeError.HandshakeError) => void
  ): (() => void) | undefined {
    const { limits } = this
    const done = (id: string | HandshakeError.HandshakeError) => decided(this.leavingError ?? id)
    if (limits === undefined) return this.admission.admit(request, done)
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
    const cancel = this.admission.admit(request, (id) => {
      // From here on the session itself is counted.
      forget()
      done(id)
      this.tellWhetherFull()
    })
    this.tellWhetherFull()
    return (
      cancel &&
      (() => {
        forget()
        cancel()
        this.tellWhetherFull()
      })
    )
  }

  /** The readiness follows the number of connections: after each change, not in the middle of one. */
  private tellWhetherFull(): void {
    const isFull = this.limits?.isFull === true
    if (isFull === this.isFull) return
    this.isFull = isFull
    if (isFull) this.readinessState.add("full")
    else this.readinessState.remove("full")
  }

  private full(limits: ConnectionLimits, option: ConnectionLimit): HandshakeError.HandshakeError {
    const refused = limits.refusals.add(this.wheel.now())
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
    HandshakeError.respond(exchange, error)
  }

  /** Finds the transport of a request, and its session unless it may open one. */
  private verify(request: EngineRequest, door: Door): Verified | HandshakeError.HandshakeError {
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
      const session = this.registry.get(sid)
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
    return this.leavingError ?? { definition, session: undefined }
  }

  /** The refusal of new sessions, if there must be no more. */
  get leavingError(): HandshakeError.HandshakeError | undefined {
    if (this.drainEnd === undefined && !this.mover.isRefusing) return undefined
    const context = this.drainEnd === undefined ? "the server is draining" : "the server is shutting down"
    // A balancer may ask another server then.
    return HandshakeError.make(4, context, undefined, 503)
  }

  private readonly onOriginDefect = (defect: unknown): void =>
    this.report("a predicate of allowedOrigins failed", defect)

  private open<Carrier>(
    id: string,
    request: EngineRequest,
    definition: TransportDefinition<Carrier>,
    carrier: Carrier,
    onStarted?: (session: EngineSession) => void
  ): void {
    const session = new EngineSession(id, revisionOf(request), request.details(), this)
    session.take(definition, carrier)
    // Some edges accept later than this server has decided: others may have taken the last place, or it has closed.
    const isTooLate = this.leavingError !== undefined || this.limits?.exceeded(session.details.address) !== undefined
    this.registry.set(session.id, session)
    this.limits?.add(session.details.address)
    this.openCount++
    this.countTransport(session.transport, 1)
    this.wasUsed = true
    this.stats.opened++
    session.start()
    if (isTooLate) session.terminate()
    // This also happens if the session has ended: the request is then answered with that.
    onStarted?.(session)
    // A handler would never be told of an end that has already happened.
    if (!session.isOpen) return
    try {
      session.handler = this.onSession(session)
      session.handler.onOpen()
    } catch (defect) {
      session.onDefect(defect)
    }
    this.streams.onSession(session)
  }

  onSessionDefect(session: EngineSession, defect: unknown): void {
    this.reportCause("a session has failed", Cause.die(defect), { session: session.id })
  }

  private countTransport(name: string, change: number): void {
    this.sessionsByTransport.set(name, (this.sessionsByTransport.get(name) ?? 0) + change)
  }

  onTransportChanged(from: string, to: string): void {
    this.countTransport(from, -1)
    this.countTransport(to, 1)
  }

  onSessionClosed(session: EngineSession, { reason }: SessionClose): void {
    this.openCount--
    this.countTransport(session.transport, -1)
    this.stats.onClosed(reason)
    this.mover.onClosed(session)
  }

  onSessionReleased(session: EngineSession): void {
    this.registry.delete(session.id)
    this.limits?.remove(session.details.address)
    this.tellWhetherFull()
    if (this.drainEnd === undefined) return
    if (session.isPolling && --this.polling === 0) this.latches.polled.openUnsafe()
    if (this.registry.size === 0) this.latches.released.openUnsafe()
  }

  readonly drainTimeLeft = (): number =>
    this.drainEnd === undefined ? this.options.drainTimeout : Math.max(0, this.drainEnd - this.wheel.now())

  get drain(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { drainTimeout } = this.options
      if (this.drainEnd === undefined) yield* this.moveForShutdown()
      yield* this.mover.close
      this.drainEnd ??= this.closing.begin()
      this.admission.close()
      this.latches.draining.openUnsafe()
      const sessions = Array.from(this.registry.values())
      // A pause between batches prevents all clients from coming back at once. The pauses take at
      // most half of the time.
      const batches = Math.max(1, Math.floor(this.drainTimeLeft() / 2 / DRAIN_PAUSE))
      const size = Math.max(DRAIN_BATCH, Math.ceil(sessions.length / batches))
      for (let at = 0; at < sessions.length; at += size) {
        if (at > 0) yield* drainTimeout > 0 ? Effect.sleep(Duration.millis(DRAIN_PAUSE)) : Effect.yieldNow
        for (const session of sessions.slice(at, at + size)) session.closeUnsafe("server shutting down")
      }
      this.polling = 0
      for (const { isPolling } of this.registry.values()) if (isPolling) this.polling++
      if (this.polling === 0) this.latches.polled.openUnsafe()
      if (this.registry.size > 0 && this.drainTimeLeft() > 0) {
        yield* Effect.timeoutOption(this.latches.released.await, Duration.millis(this.drainTimeLeft()))
      }
      this.terminate()
      this.latches.polled.openUnsafe()
    })
  }

  get readiness(): Effect.Effect<Readiness.Readiness> {
    return Effect.sync(() => this.readinessState.current)
  }

  get readinessChanges(): Stream.Stream<Readiness.Readiness> {
    return this.readinessState.changes
  }

  readonly notReady = (reason: Readiness.NotReady): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => this.readinessState.add(reason)),
      () => Effect.sync(() => this.readinessState.remove(reason))
    )

  readonly move = (options?: Drain.DrainOptions): Effect.Effect<Drain.DrainReport, InvalidOptionError> =>
    this.moveThen(options, Effect.void)

  readonly moveThen = (
    options: Drain.DrainOptions | undefined,
    last: Effect.Effect<void>
  ): Effect.Effect<Drain.DrainReport, InvalidOptionError> =>
    Effect.flatMap(Drain.resolve("drain", options), (resolved) => this.mover.move(resolved, last))

  readonly moveForShutdown = (step?: ShutdownStep<EngineSession>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { onShutdown } = this.options
      // A server that no client has ever found, such as one that could not listen, ends at once.
      if (onShutdown === undefined || !this.wasUsed) return step?.close ?? Effect.void
      return this.mover.moveForShutdown(onShutdown, {
        concerns: (session) => step === undefined || (session instanceof EngineSession && step.concerns(session)),
        close: step?.close ?? Effect.void,
        isNeeded: step?.isNeeded ?? (() => false)
      })
    })

  readonly moveSession = (id: string, within: number): void => {
    const session = this.registry.get(id)
    if (session !== undefined) this.mover.moveOne(session, within)
  }

  readonly retire = (session: EngineSession, retirement: Retirement): void => this.mover.retire(session, retirement)

  readonly addPassing = (passing: Passing): (() => void) => {
    const session = new PassingSession(passing)
    this.passing.add(session)
    this.wasUsed = true
    return () => {
      session.isOpen = false
      this.passing.delete(session)
      this.mover.onClosed(session)
    }
  }

  readonly forgetShutdown = (): void => {
    if (this.drainEnd === undefined) this.mover.forgetShutdown()
  }

  get lastPolls(): Effect.Effect<void> {
    return this.latches.polled.await
  }

  get draining(): Effect.Effect<void> {
    return this.latches.draining.await
  }

  readonly tagSessions = (tag: string): void => this.admission.tag(tag)

  readonly terminate = (): void => {
    for (const session of Array.from(this.registry.values())) session.terminate()
  }
}

/** The steps of a drain: it has begun, every session has released everything, the last poll has come. */
interface Latches {
  readonly draining: Latch.Latch
  readonly released: Latch.Latch
  readonly polled: Latch.Latch
}

/** The entrance of a request: a kind of carrier, or the definition of its transport. */
type Door = Carriage | TransportDefinition<any>

/** A request that may be handled: its transport, and its session unless it may open one. */
interface Verified {
  readonly definition: AnyTransport
  readonly session: EngineSession | undefined
}

const ignore = () => {}

/** Prevents browsers from guessing another type for a response. */
const SAFE: Readonly<Record<string, string>> = { "x-content-type-options": "nosniff" }

/**
 * Returns the Engine.IO revision of a request. Clients of revision 3 do not always state theirs.
 */
const revisionOf = (request: EngineRequest): EngineRevision => (request.query.get("EIO") === "4" ? 4 : 3)
