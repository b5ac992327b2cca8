import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import { eventRefused } from "../../internal/answers.ts"
import { decodePayload, describe, type EventCodec } from "../../internal/contractCodec.ts"
import { isReservedEvent, type SocketPacket } from "../../protocol/SocketPacket.ts"
import type { StreamOptions, StreamOverflow } from "../../StreamOptions.ts"
import { eventsLimited } from "../ServerMetrics.ts"
import {
  answering,
  answerPlainly,
  fail,
  type InboundSocket,
  leaveUnhandled,
  refusePayload,
  report,
  startAll
} from "./answers.ts"
import { costOfEvent, Inbox } from "./backlog.ts"
import { EventLimiter, limitsOf } from "./eventLimits.ts"
import { EventStreams, type Streamed, UNDECLARED } from "./eventStreams.ts"
import { Gate } from "./gate.ts"
import { PacketChecks } from "./packetChecks.ts"
import type { EventHandler, HandlerRecord, PacketMiddleware, RunFork } from "./ports.ts"
import type { Cost } from "./supervisor.ts"

/**
 * The way of a client's events to their handlers.
 *
 * Events that arrive before the handlers are there wait in the inbox. Parts that a socket may never
 * need are made when they are needed.
 */
export class Dispatch {
  private readonly socket: InboundSocket
  private inbox: Inbox | undefined
  /** The contract's handlers, or an empty record; `undefined` until they are there. */
  private handlers: HandlerRecord | undefined
  private incoming: ReadonlyMap<string, EventCodec> = noEvents
  private limiter: EventLimiter | undefined
  private plainHandlers: Map<string, Array<EventHandler>> | undefined
  private anyHandlers: Array<EventHandler> | undefined
  private checks: PacketChecks | undefined
  private streams: EventStreams | undefined
  private gates: Map<string, Gate> | undefined

  constructor(socket: InboundSocket) {
    this.socket = socket
  }

  // ---------------------------------------------------------------- registration

  addHandler(event: string, handler: EventHandler): void {
    if (isReservedEvent(event)) throw new Error(`"${event}" is a reserved event name`)
    const handlers = (this.plainHandlers ??= new Map<string, Array<EventHandler>>())
    const existing = handlers.get(event)
    if (existing === undefined) handlers.set(event, [handler])
    else existing.push(handler)
  }

  addAnyHandler(handler: EventHandler): void {
    ;(this.anyHandlers ??= []).push(handler)
  }

  addMiddleware(middleware: PacketMiddleware): void {
    ;(this.checks ??= new PacketChecks(this.socket)).add(middleware)
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

  /** The handlers are there: the events that waited for them are handled in their order. */
  setReady(handlers: HandlerRecord = noHandlers): void {
    this.handlers = handlers
    const { contract } = this.socket
    if (contract !== undefined) {
      this.incoming = contract.incoming
      const limits = limitsOf(contract)
      if (limits !== undefined) this.limiter = new EventLimiter(limits)
    }
    const { inbox } = this
    this.inbox = undefined
    inbox?.empty((packet) => this.receive(packet))
  }

  /** Events that still wait for the handlers are not delivered any more. */
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

  /** Whether nothing handles, checks or streams the event: its arguments need not be read. */
  ignores(event: string): boolean {
    if (this.handlers === undefined || this.anyHandlers !== undefined || this.checks !== undefined) return false
    return !this.incoming.has(event) && this.plainHandlers?.has(event) !== true && this.streams?.has(event) !== true
  }

  onEvent(packet: SocketPacket): void {
    if (this.handlers !== undefined) return this.receive(packet)
    const { backlog } = this.socket.connection
    if (backlog.hasTooManyUnready) return this.overflow("too many packets before the handlers were ready")
    if (backlog.isFull) return this.overflow("too many events before the handlers were ready")
    ;(this.inbox ??= new Inbox(backlog)).add(packet)
  }

  private receive({ data, id }: SocketPacket): void {
    const { socket } = this
    if (!socket.isConnected) return
    if (socket.connection.isFull) return this.overflow("too many events whose handlers are not done")
    const event = data as ReadonlyArray<unknown>
    const name = typeof event[0] === "string" ? event[0] : String(event[0])
    if (this.limiter !== undefined && this.isTooFast(this.limiter, name, id)) return
    if (this.anyHandlers !== undefined) startAll(socket, this.anyHandlers, name, event.slice(1), event)
    if (this.checks === undefined) return this.dispatch(name, event, id)
    this.checks.check(name, event, id, () => this.dispatch(name, event, id))
  }

  private overflow(description: string): void {
    this.socket.connection.session.closeUnsafe("inbound overflow", description)
  }

  /** Whether the event comes more often than it may; if so, it has been dealt with. */
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
    if (codec === undefined) return this.dispatchPlain(name, data, id)
    const payload = decodePayload(codec, data)
    if (payload._tag === "Failure") {
      // A schema that throws is a bug on this side: the client learns nothing about it.
      if (Cause.hasDies(payload.cause)) return answering(socket, codec, id)(payload)
      return refusePayload(socket, codec, id, describe(payload))
    }
    this.streams?.publish(name, payload.value, data)
    socket.publishEvent(name, payload.value, data, true)
    const handler = this.handlers![codec.event._tag]!
    const limit = codec.event.concurrency ?? socket.contract!.contract.concurrency
    const answer = answering(socket, codec, id)
    if (limit === undefined) {
      return this.startHandler(name, socket.runFork, () => handler(payload.value), answer, data)
    }
    const cost = costOfEvent(data)
    this.gateOf(codec, limit).enter(cost, (leave) => {
      // The client may have left while the event waited.
      if (!socket.isConnected) return leave()
      const onExit = (exit: Exit.Exit<any, any>) => {
        answer(exit)
        leave()
      }
      this.startHandler(name, socket.runFork, () => handler(payload.value), onExit, cost)
    })
  }

  /** Events without a limit of their own share the namespace's. */
  private gateOf({ event }: EventCodec, limit: number): Gate {
    const key = event.concurrency === undefined ? "" : event._tag
    const gates = (this.gates ??= new Map<string, Gate>())
    let gate = gates.get(key)
    if (gate === undefined) gates.set(key, (gate = new Gate(limit, this.socket.connection.backlog)))
    return gate
  }

  private dispatchPlain(name: string, data: ReadonlyArray<unknown>, id: number | undefined): void {
    const { socket } = this
    const handlers = this.plainHandlers?.get(name)
    const args = data.slice(1)
    const { streams } = this
    streams?.publishPlain(name, args, data)
    socket.publishEvent(name, args, data, false)
    if (handlers === undefined) {
      // A reader of all events reads this one as a handler of all events does: it answers nothing.
      const isSeen = this.anyHandlers !== undefined || streams?.has(UNDECLARED) === true
      if (streams?.has(name) !== true) leaveUnhandled(socket, name, id, isSeen)
      return
    }
    let isAnswered = id === undefined
    const onExit = (exit: Exit.Exit<any, any>) => {
      if (exit._tag === "Failure") return report(socket, name, exit.cause)
      if (isAnswered) return
      isAnswered = true
      answerPlainly(socket, name, id!, exit.value)
    }
    for (const handler of handlers) {
      this.startHandler("", handler.run, () => handler.handle(name, args), onExit, data)
    }
  }

  /** Starts an event's handler, with what tracing and metrics want to know of it. */
  private startHandler(
    name: string,
    run: RunFork,
    make: () => Effect.Effect<any, any, any>,
    onExit: (exit: Exit.Exit<any, any>) => void,
    cost: Cost
  ): void {
    const { connection, id, namespace } = this.socket
    const { observer } = connection.environment
    if (observer.tracesHandlers) {
      const untraced = make
      make = () => observer.traced(Effect.suspend(untraced), namespace, name, id)
    }
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

const noHandlers: HandlerRecord = {}

const noEvents: ReadonlyMap<string, EventCodec> = new Map()
