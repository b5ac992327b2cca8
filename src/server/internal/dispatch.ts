import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import { eventRefused, payloadRefused } from "../../internal/answers.ts"
import type { CompiledContract, CompiledMiddleware } from "../../internal/compileContract.ts"
import { decodePayload, describe, type EventCodec } from "../../internal/contractCodec.ts"
import { costOf } from "../../internal/cost.ts"
import { isReservedEvent, type SocketPacket } from "../../protocol/SocketPacket.ts"
import type { StreamOptions, StreamOverflow } from "../../StreamOptions.ts"
import { eventsLimited } from "../ServerMetrics.ts"
import {
  answering,
  answerUntyped,
  fail,
  type Handle,
  type InboundSocket,
  leaveUnhandled,
  refusePayload,
  report,
  startAll,
  withHandler,
  withoutHandler
} from "./answers.ts"
import { costOfEvent, Inbox } from "./backlog.ts"
import { EventLimiter, limitsOf } from "./eventLimits.ts"
import { EventStreams, type Streamed, UNDECLARED } from "./eventStreams.ts"
import { Gate } from "./gate.ts"
import { answeringOnce, handleOnce } from "./once.ts"
import { PacketChecks } from "./packetChecks.ts"
import type { EventHandler, HandlerRecord, PacketMiddleware, RunFork } from "./ports.ts"
import type { Cost } from "./supervisor.ts"

/**
 * The way of a client's events to their handlers.
 *
 * Events that arrive before the handlers wait in the inbox. Parts that a socket may never need are
 * made at their first use.
 */
export class Dispatch {
  private readonly socket: InboundSocket
  private inbox: Inbox | undefined
  /** The handlers that the builder has returned; `undefined` until it is done. */
  private handlers: HandlerRecord | undefined
  private incoming: ReadonlyMap<string, EventCodec> = noEvents
  /** The middlewares that the client may run again, by their events, if there are any. */
  private refreshes: CompiledContract["refreshes"]
  private limiter: EventLimiter | undefined
  /** The handlers that were added, by event: of payloads, or of the arguments of untyped events. */
  private added: Map<string, ReadonlyArray<EventHandler>> | undefined
  private anyHandlers: ReadonlyArray<EventHandler> | undefined
  private checks: PacketChecks | undefined
  private streams: EventStreams | undefined
  private gates: Map<string, Gate> | undefined

  constructor(socket: InboundSocket) {
    this.socket = socket
  }

  /** Whether the builder is done. */
  get isReady(): boolean {
    return this.handlers !== undefined
  }

  // ---------------------------------------------------------------- registration

  /** Adds a handler of an event. Returns the function that removes it. */
  addHandler(event: string, handler: EventHandler): () => void {
    refuseReserved(event)
    const added = (this.added ??= new Map<string, ReadonlyArray<EventHandler>>())
    added.set(event, withHandler(added.get(event), handler))
    return () => {
      const left = withoutHandler(added.get(event), handler)
      if (left === undefined) added.delete(event)
      else added.set(event, left)
    }
  }

  /** Adds a handler of all events. Returns the function that removes it. */
  addAnyHandler(handler: EventHandler): () => void {
    this.anyHandlers = withHandler(this.anyHandlers, handler)
    return () => {
      this.anyHandlers = withoutHandler(this.anyHandlers, handler)
    }
  }

  /** Adds packet middleware. Returns the function that removes it. */
  addMiddleware(middleware: PacketMiddleware): () => void {
    return (this.checks ??= new PacketChecks(this.socket)).add(middleware)
  }

  /** Events from now on, until the scope closes or the socket disconnects. */
  subscribe(
    events: Streamed,
    options: StreamOptions | undefined
  ): Effect.Effect<Stream.Stream<any, StreamOverflow>, never, Scope.Scope> {
    return Effect.suspend(() => {
      const { connection, isDisconnected } = this.socket
      return (this.streams ??= new EventStreams(connection, isDisconnected)).subscribe(events, options)
    })
  }

  /** The handlers are there: waiting events are handled in their order. */
  setReady(handlers: HandlerRecord = noHandlers): void {
    const contract = this.socket.contract!
    if (contract.untyped) Object.keys(handlers).forEach((event) => refuseOwn(contract, event))
    this.handlers = handlers
    this.incoming = contract.incoming
    this.refreshes = contract.refreshes
    const limits = limitsOf(contract)
    if (limits !== undefined) this.limiter = new EventLimiter(limits)
    const { inbox } = this
    this.inbox = undefined
    inbox?.empty((event) => this.receive(event))
  }

  /** Events that still wait for the handlers are dropped. */
  discardInbox(): void {
    const { inbox } = this
    this.inbox = undefined
    inbox?.empty(() => {})
  }

  /** The socket has disconnected: its streams end after the events that have come. */
  endStreams(): void {
    this.streams?.end()
  }

  // ---------------------------------------------------------------- events

  /**
   * Whether nothing handles, checks or streams the event, so that its arguments need not be read.
   */
  ignores(event: string): boolean {
    if (this.handlers === undefined || this.anyHandlers !== undefined || this.checks !== undefined) return false
    if (this.incoming.has(event) || this.ownHandler(event) !== undefined) return false
    const { added, streams } = this
    return added?.has(event) !== true && streams?.has(event) !== true && streams?.has(UNDECLARED) !== true
  }

  onEvent(packet: SocketPacket): void {
    if (this.handlers !== undefined) return this.receive(packet)
    const { backlog } = this.socket.connection
    if (backlog.hasTooManyUnready) return this.overflow("too many packets before the handlers were ready")
    if (backlog.isFull) return this.overflow("too many events before the handlers were ready")
    ;(this.inbox ??= new Inbox(backlog)).add(packet)
  }

  private receive({ data, id }: Pick<SocketPacket, "data" | "id">): void {
    const { socket } = this
    if (!socket.isConnected) return
    if (socket.connection.isFull) return this.overflow("too many events whose handlers are not done")
    const event = data as ReadonlyArray<unknown>
    const name = typeof event[0] === "string" ? event[0] : String(event[0])
    if (this.limiter !== undefined && this.isTooFast(this.limiter, name, id)) return
    const middleware = this.refreshes?.get(name)
    if (middleware !== undefined) return this.refresh(middleware, name, event, id)
    if (this.anyHandlers !== undefined) startAll(socket, this.anyHandlers, name, event.slice(1), event)
    if (this.checks === undefined) return this.dispatch(name, event, id)
    this.checks.check(name, event, id, () => this.dispatch(name, event, id))
  }

  private overflow(description: string): void {
    this.socket.connection.session.closeUnsafe("inbound overflow", description)
  }

  /** Whether the event exceeds its rate limit. If so, it has been answered. */
  private isTooFast(limiter: EventLimiter, name: string, id: number | undefined): boolean {
    const { connection, namespace } = this.socket
    const { observer, wheel } = connection.environment
    const exceeded = limiter.exceeded(name, wheel.now())
    if (exceeded === undefined) return false
    observer.count(eventsLimited, { namespace: namespace.label, event: name })
    const { disconnects, retryAfter } = exceeded
    if (disconnects) connection.session.closeUnsafe("rate limit exceeded", `more "${name}" events than it may have`)
    else if (id !== undefined) {
      fail(this.socket, id, eventRefused("rate limit exceeded", { retryAfter }))
    }
    return true
  }

  private dispatch(name: string, data: ReadonlyArray<unknown>, id: number | undefined): void {
    const { socket } = this
    if (!socket.isConnected) return
    const codec = this.incoming.get(name)
    if (codec === undefined) return this.dispatchUntyped(name, data, id)
    const payload = decodePayload(codec, data)
    if (payload._tag === "Failure") {
      // A schema that throws is a bug on this side, so the client is not told.
      if (Cause.hasDies(payload.cause)) return answering(socket, codec, id)(payload)
      return refusePayload(socket, codec, id, describe(payload))
    }
    this.streams?.publish(name, payload.value, data)
    socket.publishEvent(name, payload.value, data, true)
    const traced = this.tracedAs(codec, data, id)
    const added = this.added?.get(name)
    if (added !== undefined) startAll(socket, added, name, [payload.value], data, traced)
    const handler = this.handlers![codec.event._tag]!
    const limit = codec.event.concurrency ?? socket.contract!.contract.concurrency
    const isOnce = codec.event.once !== undefined
    const answer = isOnce ? answeringOnce(socket, codec, id) : answering(socket, codec, id)
    const untraced = isOnce
      ? () => handleOnce(socket, codec, payload.value, data, handler)
      : () => handler(payload.value)
    const handle = traced(untraced)
    if (limit === undefined) return this.startHandler(name, socket.runFork, handle, answer, data)
    const cost = costOfEvent(data)
    this.gateOf(codec, limit).enter(cost, (leave) => {
      // The client may have left while the event waited.
      if (!socket.isConnected) return leave()
      const onExit = (exit: Exit.Exit<any, any>) => {
        answer(exit)
        leave()
      }
      this.startHandler(name, socket.runFork, handle, onExit, cost)
    })
  }

  /**
   * The client refreshes its rights. Nothing else sees the event: credentials do not belong into
   * the logs of handlers of all events.
   */
  private refresh(
    middleware: CompiledMiddleware,
    name: string,
    data: ReadonlyArray<unknown>,
    id: number | undefined
  ): void {
    const { socket } = this
    const codec = this.incoming.get(name)!
    const refuse = (error: unknown) => {
      if (id !== undefined) fail(socket, id, error)
    }
    // As with CONNECT, no payload is an empty one.
    const raw = data[1] ?? {}
    if (costOf(raw) > socket.connection.environment.options.maxAuthBytes) {
      return refuse(eventRefused("Auth payload too large"))
    }
    const auth = codec.payload.decode(raw)
    if (auth._tag === "Failure") return refuse(payloadRefused("Invalid auth payload"))
    const answer = answering(socket, codec, id)
    const cost = costOfEvent(data)
    const traced = this.tracedAs(codec, data, id)
    this.gateOf(codec, 1).enter(cost, (leave) => {
      const { rights } = socket
      if (!socket.isConnected || rights === undefined) return leave()
      const onExit = (exit: Exit.Exit<any, any>) => {
        answer(exit)
        rights.onAnswered()
        leave()
      }
      const handle = traced(() => rights.refresh(middleware, auth.value, raw))
      this.startHandler(name, socket.runFork, handle, onExit, cost)
    })
  }

  /** Lets handlers of a declared event run in a span, if there are spans. */
  private tracedAs(
    codec: EventCodec,
    data: ReadonlyArray<unknown>,
    id: number | undefined
  ): (handle: Handle) => Handle {
    const { socket } = this
    const { tracing } = socket.connection.environment.observer
    return tracing === undefined ? identity : (handle) => tracing.ofDeclared(handle, socket, codec, data, id)
  }

  /** Events without a limit of their own share the namespace's. */
  private gateOf({ event }: EventCodec, limit: number): Gate {
    const key = event.concurrency === undefined ? "" : event._tag
    const gates = (this.gates ??= new Map<string, Gate>())
    let gate = gates.get(key)
    if (gate === undefined) gates.set(key, (gate = new Gate(limit, this.socket.connection.backlog)))
    return gate
  }

  /** An event that no contract declares: its handlers take its arguments. */
  private dispatchUntyped(name: string, data: ReadonlyArray<unknown>, id: number | undefined): void {
    const { socket } = this
    const own = this.ownHandler(name)
    const added = this.added?.get(name)
    const args = data.slice(1)
    const { streams } = this
    streams?.publishUndeclared(name, args, data)
    socket.publishEvent(name, args, data, false)
    if (own === undefined && added === undefined) {
      // A reader of all events reads this one as a handler of all events does: it answers nothing.
      const isSeen = this.anyHandlers !== undefined || streams?.has(UNDECLARED) === true
      if (streams?.has(name) !== true) leaveUnhandled(socket, name, id, isSeen)
      return
    }
    let isAnswered = id === undefined
    const { tracing } = socket.connection.environment.observer
    const start = (run: RunFork, handle: Handle) => {
      const handled = tracing === undefined ? handle : tracing.ofUndeclared(handle, socket, id)
      this.startHandler("", run, handled, onExit, data)
    }
    const onExit = (exit: Exit.Exit<any, any>) => {
      if (exit._tag === "Failure") return report(socket, name, exit.cause)
      if (isAnswered) return
      isAnswered = true
      answerUntyped(socket, name, id!, exit.value)
    }
    if (own !== undefined) start(socket.runFork, () => own(...args))
    if (added === undefined) return
    for (const handler of added) start(handler.run, () => handler.handle(name, args))
  }

  /** Returns the builder's handler of an untyped event. The client has chosen the name. */
  private ownHandler(name: string): HandlerRecord[string] | undefined {
    const { handlers, socket } = this
    if (handlers === noHandlers || !socket.contract!.untyped) return undefined
    return Object.hasOwn(handlers!, name) ? handlers![name] : undefined
  }

  /** Starts an event's handler, with metrics. */
  private startHandler(
    name: string,
    run: RunFork,
    make: Handle,
    onExit: (exit: Exit.Exit<any, any>) => void,
    cost: Cost
  ): void {
    const { connection, namespace } = this.socket
    const { observer } = connection.environment
    const started = observer.now()
    this.socket.start(
      run,
      make,
      (exit) => {
        observer.handled(namespace, name, started)
        onExit(exit)
      },
      cost
    )
  }
}

const refuseReserved = (event: string): void => {
  if (isReservedEvent(event)) throw new Error(`"${event}" is a reserved event name`)
}

/** Throws on an event of a record of handlers that the library handles itself. */
const refuseOwn = ({ refreshes }: CompiledContract, event: string): void => {
  refuseReserved(event)
  if (refreshes?.has(event)) throw new Error(`"${event}" refreshes the rights of clients: it has no other handler`)
}

const noHandlers: HandlerRecord = {}

const noEvents: ReadonlyMap<string, EventCodec> = new Map()
