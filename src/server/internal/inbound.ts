import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import { Bag } from "../../internal/bag.ts"
import { decodePayload, describe, encodeFailure, encodeSuccess, type EventCodec } from "../../internal/contractCodec.ts"
import { isReservedEvent, type SocketPacket } from "../../protocol/SocketPacket.ts"
import { eventsLimited, eventsRefused, eventsUnhandled, handlerFailures, payloadsRefused } from "../ServerMetrics.ts"
import { AckArguments, EventRefused, type IncomingEvent } from "../ServerSocket.ts"
import { type Backlog, costOfEvent, costOfStreamed } from "./backlog.ts"
import { EventLimiter, limitsOf } from "./eventLimits.ts"
import { Gate } from "./gate.ts"
import type { SocketRuntime } from "./socket.ts"

/** Handlers by event, as a contract's builder returns them. */
export type HandlerRecord = Readonly<Record<string, (payload: any) => Effect.Effect<any, any, any>>>

/** Starts an effect in a context that has all it needs. */
export type RunFork = (effect: Effect.Effect<any, any, any>) => Fiber.Fiber<any, any>

/** A plain handler, with the runner of the context in which it was registered. */
export interface PlainHandler {
  readonly run: RunFork
  readonly handle: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<any, any, any>
}

/** What sees every event before its handlers. */
export interface PacketMiddleware {
  readonly context: Context.Context<any>
  readonly check: (event: IncomingEvent) => Effect.Effect<unknown, EventRefused, any>
}

/** A stream of an event's payloads. */
interface EventTap {
  /** Whether there was room. */
  readonly offer: (payload: unknown, cost: number) => boolean
  readonly end: () => void
}

/** An event that waits for the handlers, and what it costs meanwhile. */
interface Waiting {
  readonly packet: SocketPacket
  readonly cost: number
}

/**
 * What an event costs while it waits: nothing for what is no event, or its name and arguments, whose cost is worked out if it
 * does have to wait. Most handlers are done at once.
 */
type Cost = number | ReadonlyArray<unknown>

/**
 * The events of a socket's client on their way to their handlers.
 *
 * What arrives before the handlers are there waits in `inbox`. What a socket may never need (suspended handlers, plain
 * handlers, middleware, streams) is allocated when it is needed.
 */
export class Inbound {
  private readonly socket: SocketRuntime
  private inbox: Array<Waiting> | undefined
  private ready = false
  private incoming: ReadonlyMap<string, EventCodec> = noEvents
  private concurrency: number | undefined = undefined
  private limiter: EventLimiter | undefined
  private handlers: HandlerRecord = noHandlers
  private plainHandlers: Map<string, Array<PlainHandler>> | undefined
  private anyHandlers: Array<PlainHandler> | undefined
  private middlewares: Array<PacketMiddleware> | undefined
  /** Keeps events in their order while middleware looks at them. */
  private entrance: Gate | undefined
  private taps: Map<string, Set<EventTap>> | undefined
  private gates: Map<string, Gate> | undefined
  private fibers: Bag<Fiber.Fiber<any, any>> | undefined
  /** What is being started in this turn: it has not given way yet. */
  private starting = 0
  private closing: { readonly late: Array<Fiber.Fiber<any, any>>; readonly end: () => void } | undefined
  private runFork!: RunFork

  constructor(socket: SocketRuntime) {
    this.socket = socket
  }

  /** Everything runs like this from now on. */
  useRunner(runFork: RunFork): void {
    this.runFork = runFork
  }

  /** Starts the effect that builds the handlers. */
  launch(make: () => Effect.Effect<unknown>, onExit: (exit: Exit.Exit<unknown, unknown>) => void): void {
    this.start(this.runFork, make, onExit)
  }

  // ---------------------------------------------------------------- what is registered

  addHandler(event: string, handler: PlainHandler): void {
    if (isReservedEvent(event)) throw new Error(`"${event}" is a reserved event name`)
    const handlers = (this.plainHandlers ??= new Map<string, Array<PlainHandler>>())
    const existing = handlers.get(event)
    if (existing === undefined) handlers.set(event, [handler])
    else existing.push(handler)
  }

  addAnyHandler(handler: PlainHandler): void {
    ;(this.anyHandlers ??= []).push(handler)
  }

  addMiddleware(middleware: PacketMiddleware): void {
    this.entrance ??= new Gate(1)
    ;(this.middlewares ??= []).push(middleware)
  }

  /** The payloads of an event from now on, until the scope closes or the socket disconnects. */
  subscribe(event: string): Effect.Effect<Stream.Stream<any>, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const capacity = this.socket.home.server.options.maxPendingEvents
      const queue = yield* Queue.make<{ readonly payload: unknown; readonly cost: number }, Cause.Done>({
        capacity,
        strategy: "dropping"
      })
      let unread = 0
      const tap: EventTap = {
        offer: (payload, cost) => {
          if (!Queue.offerUnsafe(queue, { payload, cost })) return false
          unread += cost
          this.backlog.hold(cost)
          return true
        },
        end: () => Queue.endUnsafe(queue)
      }
      const read = (cost: number) => {
        unread -= cost
        this.backlog.release(cost)
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => this.addTap(event, tap)),
        () =>
          Effect.sync(() => {
            this.removeTap(event, tap)
            if (unread > 0) read(unread)
          })
      )
      return Stream.map(Stream.fromQueue(queue), ({ cost, payload }) => {
        // What is still read after the scope has closed no longer counts.
        if (unread >= cost) read(cost)
        return payload
      })
    })
  }

  private addTap(event: string, tap: EventTap): void {
    if (this.socket.state === "disconnected") return tap.end()
    const taps = (this.taps ??= new Map<string, Set<EventTap>>())
    const existing = taps.get(event)
    if (existing === undefined) taps.set(event, new Set([tap]))
    else existing.add(tap)
  }

  private removeTap(event: string, tap: EventTap): void {
    const taps = this.taps?.get(event)
    if (taps?.delete(tap) && taps.size === 0) this.taps!.delete(event)
  }

  private tell(event: string, payload: unknown, data: ReadonlyArray<unknown>): void {
    const taps = this.taps?.get(event)
    if (taps === undefined) return
    const cost = costOfStreamed(data)
    for (const tap of taps) {
      if (!tap.offer(payload, cost)) this.overflow("a stream of the socket's events has fallen behind")
    }
  }

  // ---------------------------------------------------------------- events

  /** Whether nobody handles the event, streams it, or sees every event: its arguments need not be read. */
  ignores(event: string): boolean {
    if (!this.ready || this.anyHandlers !== undefined || this.middlewares !== undefined) return false
    return !this.incoming.has(event) && this.plainHandlers?.has(event) !== true && this.taps?.has(event) !== true
  }

  onEvent(packet: SocketPacket): void {
    if (this.ready) return this.receive(packet)
    const { backlog } = this
    if (backlog.unready >= this.socket.home.server.options.maxPendingPackets) {
      return this.overflow("too many packets before the handlers were ready")
    }
    if (backlog.isFull) return this.overflow("too many events before the handlers were ready")
    const cost = costOfEvent(packet.data as ReadonlyArray<unknown>)
    ;(this.inbox ??= []).push({ packet, cost })
    backlog.unready++
    backlog.enter(cost)
  }

  private get backlog(): Backlog {
    return this.socket.connection.backlog
  }

  /** The handlers are there: what waited for them is handled in the order of its arrival. */
  setReady(handlers: HandlerRecord | undefined): void {
    if (handlers !== undefined) this.handlers = handlers
    const { contract } = this.socket
    if (contract !== undefined) {
      this.incoming = contract.incoming
      this.concurrency = contract.contract.concurrency
      const limits = limitsOf(contract)
      if (limits !== undefined) this.limiter = new EventLimiter(limits)
    }
    this.ready = true
    const inbox = this.inbox
    this.inbox = undefined
    for (const { cost, packet } of inbox ?? []) {
      this.forget(cost)
      this.receive(packet)
    }
  }

  /** A packet has waited for the handlers. */
  private forget(cost: number): void {
    const { backlog } = this
    backlog.unready--
    backlog.leave(cost)
  }

  /**
   * Nothing is delivered any more, and what runs is interrupted. What has not ended yet is told in this turn: at once, or when the
   * handler that has disconnected its own socket gives way.
   */
  close(onClosed: (running: ReadonlyArray<Fiber.Fiber<any, any>>) => void): void {
    const { fibers, inbox, taps } = this
    this.inbox = this.fibers = this.taps = undefined
    for (const { cost } of inbox ?? []) this.forget(cost)
    if (fibers !== undefined) {
      for (const fiber of fibers.values) fiber.interruptUnsafe()
    }
    if (taps !== undefined) {
      for (const set of taps.values()) for (const tap of set) tap.end()
    }
    const late: Array<Fiber.Fiber<any, any>> = []
    this.closing = { late, end: () => onClosed(fibers === undefined ? late : [...fibers.values, ...late]) }
    this.endIfNoneStarts()
  }

  private endIfNoneStarts(): void {
    const { closing } = this
    if (closing === undefined || this.starting > 0) return
    this.closing = undefined
    closing.end()
  }

  private overflow(description: string): void {
    this.socket.connection.session.closeUnsafe("inbound overflow", description)
  }

  private get isConnected(): boolean {
    return this.socket.state === "connected"
  }

  private receive({ data, id }: SocketPacket): void {
    if (!this.isConnected) return
    if (this.socket.connection.isFull) return this.overflow("too many events whose handlers are not done")
    const event = data as ReadonlyArray<unknown>
    const name = typeof event[0] === "string" ? event[0] : String(event[0])
    if (this.limiter !== undefined && this.isTooFast(this.limiter, name, id)) return
    if (this.anyHandlers !== undefined) this.startAll(this.anyHandlers, name, event.slice(1), event)
    if (this.middlewares === undefined) return this.dispatch(name, event, id)
    const cost = costOfEvent(event)
    this.backlog.enter(cost)
    this.entrance!.enter((leave) => {
      this.backlog.leave(cost)
      if (!this.isConnected) return leave()
      let isOver = false
      const onChecked = (exit: Exit.Exit<void, EventRefused>) => {
        if (isOver) return
        isOver = true
        if (exit._tag === "Success") this.dispatch(name, event, id)
        else this.onRefused(name, id, exit.cause)
        leave()
      }
      const checks = () => this.checks({ event: name, args: event.slice(1), needsAck: id !== undefined })
      const fiber = this.start(this.runFork, checks, onChecked, cost)
      if (fiber !== undefined && !isOver) this.endInTime(fiber, onChecked)
    })
  }

  /** Whether the event comes more often than it may; then all that there is to do about it is done. */
  private isTooFast(limiter: EventLimiter, name: string, id: number | undefined): boolean {
    const { connection, home } = this.socket
    const exceeded = limiter.exceeded(name, home.server.wheel.now())
    if (exceeded === undefined) return false
    home.server.count(eventsLimited, { namespace: home.label, event: name })
    const { disconnects, retryAfter } = exceeded
    if (disconnects) connection.session.closeUnsafe("rate limit exceeded", `more "${name}" events than it may have`)
    else if (id !== undefined) {
      this.fail(id, { _tag: "EventRefused", message: "rate limit exceeded", data: { retryAfter } }, false)
    }
    return true
  }

  /** Middleware that does not come to an end shall not keep the events behind waiting for ever. */
  private endInTime(fiber: Fiber.Fiber<any, any>, onChecked: (exit: Exit.Exit<never>) => void): void {
    const { options, wheel } = this.socket.home.server
    const deadline: WheelEntry = {
      bucket: IDLE,
      onDefect: (defect) => this.socket.connection.session.onDefect(defect),
      onDeadline: () => {
        onChecked(Exit.die(new Error(`packet middleware was not done within ${options.middlewareTimeout} ms`)))
        fiber.interruptUnsafe()
      }
    }
    wheel.schedule(deadline, options.middlewareTimeout)
    fiber.addObserver(() => wheel.cancel(deadline))
  }

  private checks(event: IncomingEvent): Effect.Effect<void, EventRefused> {
    return Effect.forEach(
      this.middlewares!,
      ({ check, context }) =>
        Effect.provideContext(
          Effect.suspend(() => check(event)),
          context
        ),
      { discard: true }
    )
  }

  private onRefused(name: string, id: number | undefined, cause: Cause.Cause<unknown>): void {
    if (Cause.hasInterruptsOnly(cause)) return
    const { server } = this.socket.home
    const codec = this.codec(name)
    const failure = Cause.findErrorOption(cause)
    const refused = failure._tag === "Some" && failure.value instanceof EventRefused ? failure.value : undefined
    if (refused === undefined) this.report(name, cause)
    else {
      server.count(eventsRefused, { namespace: this.socket.home.label, event: codec === undefined ? "" : name })
      const annotations = { event: name, message: refused.message, ...this.socket.annotations }
      server.debug("socket", "event refused", annotations, this.socket.connection)
    }
    // Of events without a contract clients expect what handlers answer, and nothing else.
    if (id === undefined || codec === undefined) return
    if (refused === undefined) return this.fail(id, { _tag: "InternalError" }, false)
    const { data, message } = refused
    const error = { _tag: "EventRefused", message }
    // Data that cannot be encoded: the refusal counts.
    this.answerSafely(
      name,
      () => this.fail(id, data === undefined ? error : { ...error, data }, true),
      () => this.fail(id, error, false)
    )
  }

  private codec(name: string): EventCodec | undefined {
    return this.incoming.get(name)
  }

  private dispatch(name: string, data: ReadonlyArray<unknown>, id: number | undefined): void {
    if (!this.isConnected) return
    const codec = this.codec(name)
    if (codec === undefined) return this.onPlainEvent(name, data, id)
    const payload = decodePayload(codec, data)
    if (payload._tag === "Failure") {
      // A schema that throws is a bug on this side, and none of the client's business.
      if (Cause.hasDies(payload.cause)) return this.answer(codec, id)(payload)
      return this.onRefusedPayload(codec, id, describe(payload))
    }
    if (this.taps !== undefined) this.tell(name, payload.value, data)
    const handler = this.handlers[codec.event._tag]!
    const limit = codec.event.concurrency ?? this.concurrency
    if (limit === undefined) {
      return this.startHandler(name, this.runFork, () => handler(payload.value), this.answer(codec, id), data)
    }
    // Events without a limit of their own share the namespace's.
    const key = codec.event.concurrency === undefined ? "" : name
    const gates = (this.gates ??= new Map<string, Gate>())
    let gate = gates.get(key)
    if (gate === undefined) gates.set(key, (gate = new Gate(limit)))
    const answer = this.answer(codec, id)
    const cost = costOfEvent(data)
    this.backlog.enter(cost)
    gate.enter((leave) => {
      this.backlog.leave(cost)
      // The client has gone while the event was waiting.
      if (!this.isConnected) return leave()
      this.startHandler(
        name,
        this.runFork,
        () => handler(payload.value),
        (exit) => {
          answer(exit)
          leave()
        },
        cost
      )
    })
  }

  private onPlainEvent(name: string, data: ReadonlyArray<unknown>, id: number | undefined): void {
    const handlers = this.plainHandlers?.get(name)
    const args = data.slice(1)
    const tapped = this.taps?.has(name) === true
    if (tapped) this.tell(name, args, data)
    if (handlers === undefined) {
      if (!tapped) this.onUnhandled(name, id)
      return
    }
    let answered = id === undefined
    for (const handler of handlers) {
      this.startHandler(
        "",
        handler.run,
        () => handler.handle(name, args),
        (exit) => {
          if (exit._tag === "Failure") return this.report(name, exit.cause)
          if (answered) return
          answered = true
          const { value } = exit
          const values = value === undefined ? [] : value instanceof AckArguments ? value.values : [value]
          this.answerSafely(name, () => this.socket.sendAck(id!, values, true))
        },
        data
      )
    }
  }

  /** Starts handlers that answer nothing. */
  startAll(handlers: ReadonlyArray<PlainHandler>, name: string, args: ReadonlyArray<unknown>, cost: Cost): void {
    for (const handler of handlers) {
      this.start(
        handler.run,
        () => handler.handle(name, args),
        (exit) => {
          if (exit._tag === "Failure") this.report(name, exit.cause)
        },
        cost
      )
    }
  }

  /** Starts an event's handler: the same, watched by whoever wants to know how long it takes. */
  private startHandler(
    name: string,
    run: RunFork,
    make: () => Effect.Effect<any, any, any>,
    onExit: (exit: Exit.Exit<any, any>) => void,
    cost: Cost
  ): void {
    const { home } = this.socket
    const { observer } = home.server
    if (observer.tracesHandlers) {
      const untraced = make
      make = () => observer.traced(Effect.suspend(untraced), home, name, this.socket.id)
    }
    const started = observer.now()
    this.start(
      run,
      make,
      (exit) => {
        observer.handled(home, name, started)
        onExit(exit)
      },
      cost
    )
  }

  /**
   * Starts an effect in this turn. One that finishes at once never becomes a waiting fiber; one that suspends is kept, to
   * be interrupted when the socket disconnects, and its event counts as pending meanwhile, unless it costs nothing. Gives that
   * fiber.
   */
  start(
    run: RunFork,
    make: () => Effect.Effect<any, any, any>,
    onExit: (exit: Exit.Exit<any, any>) => void,
    price: Cost = 0
  ): Fiber.Fiber<any, any> | undefined {
    let effect: Effect.Effect<any, any, any>
    try {
      effect = make()
    } catch (defect) {
      effect = Exit.die(defect)
    }
    if (Exit.isExit(effect)) {
      onExit(effect)
      return undefined
    }
    this.starting++
    const fiber = run(effect)
    this.starting--
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) {
      onExit(exit)
      if (this.closing !== undefined) this.endIfNoneStarts()
      return undefined
    }
    if (this.socket.state === "disconnected") {
      // It has disconnected its own socket. What becomes of it is still watched.
      fiber.addObserver(onExit)
      fiber.interruptUnsafe()
      if (fiber.pollUnsafe() === undefined) this.closing?.late.push(fiber)
      this.endIfNoneStarts()
      return undefined
    }
    const fibers = (this.fibers ??= new Bag())
    const entry = fibers.add(fiber)
    // What is no event's, as being admitted, is not for want of reading less.
    const cost = typeof price === "number" ? price : costOfEvent(price)
    if (cost > 0) this.backlog.enter(cost)
    fiber.addObserver((exit) => {
      fibers.remove(entry)
      try {
        onExit(exit)
      } catch (defect) {
        this.socket.connection.session.onDefect(defect)
      }
      if (cost > 0) this.backlog.leave(cost)
    })
    return fiber
  }

  // ---------------------------------------------------------------- answers

  /** What becomes of a contract handler's exit. */
  private answer(codec: EventCodec, id: number | undefined): (exit: Exit.Exit<any, any>) => void {
    return (exit) => {
      if (exit._tag === "Success") {
        if (id !== undefined) this.acknowledge(codec, id, exit.value, true)
        return
      }
      const { event } = codec
      const failure = event.hasError ? Cause.findErrorOption(exit.cause) : undefined
      if (failure === undefined || failure._tag === "None") {
        this.report(event._tag, exit.cause)
        if (id !== undefined) this.fail(id, { _tag: "InternalError" }, false)
      } else if (id !== undefined) this.acknowledge(codec, id, failure.value, false)
    }
  }

  /** A value that does not fit its own contract, or cannot be encoded, is the handler's bug: its event alone suffers. */
  private acknowledge(codec: EventCodec, id: number, value: unknown, isSuccess: boolean): void {
    const { ack, error, event } = codec
    try {
      if (isSuccess) this.socket.sendAck(id, encodeSuccess(codec, value), ack.mayHaveBinary)
      else this.socket.sendAck(id, encodeFailure(codec, value), error.mayHaveBinary)
    } catch (defect) {
      this.report(event._tag, Cause.die(defect))
      this.fail(id, { _tag: "InternalError" }, false)
    }
  }

  private onRefusedPayload(codec: EventCodec, id: number | undefined, description: string): void {
    const { event } = codec
    const { home } = this.socket
    home.server.count(payloadsRefused, { namespace: home.label, event: event._tag })
    const annotations = { event: event._tag, description, hint: REFUSED_HINT, ...this.socket.annotations }
    home.server.warn("socket", "payload refused", annotations, this.socket.connection)
    if (id !== undefined) this.fail(id, { _tag: "PayloadRefused", message: description }, false)
  }

  /** Nobody handles the event. Where there is a contract, a client that waits for an answer learns so. */
  private onUnhandled(name: string, id: number | undefined): void {
    const { connection, contract, home } = this.socket
    const { server } = home
    server.count(eventsUnhandled, { namespace: home.label })
    const hint = contract === undefined ? PLAIN_HINT : CONTRACT_HINT
    const annotations = { event: name, hint, ...this.socket.annotations }
    // Somebody who sees every event may well do something about this one.
    if (this.anyHandlers !== undefined) server.debug("socket", UNHANDLED, annotations, connection)
    else server.warn("socket", UNHANDLED, annotations, connection)
    if (contract !== undefined && id !== undefined) this.fail(id, NOBODY_HANDLES, false)
  }

  private fail(id: number, error: unknown, mayHaveBinary: boolean): void {
    this.socket.sendAck(id, [{ _tag: "Failure", error }], mayHaveBinary)
  }

  /** A value that cannot be encoded is a bug of this side: its event alone suffers, and `otherwise` tells the client. */
  private answerSafely(event: string, send: () => void, otherwise?: () => void): void {
    try {
      send()
    } catch (defect) {
      this.report(event, Cause.die(defect))
      otherwise?.()
    }
  }

  report(event: string, cause: Cause.Cause<unknown>): void {
    if (Cause.hasInterruptsOnly(cause)) return
    const { home } = this.socket
    home.server.count(handlerFailures, { namespace: home.label, event: this.codec(event) === undefined ? "" : event })
    home.server.error("event handler failed", cause, { event, ...this.socket.annotations }, this.socket.connection)
  }
}

const UNHANDLED = "event without a handler"

/** What to do about it. */
const CONTRACT_HINT =
  "the namespace's contract does not declare it: add it to clientToServer, or correct the name that the client emits"
const PLAIN_HINT =
  "register a handler with socket.on before the builder is done, or correct the name that the client emits"
const REFUSED_HINT =
  "the description says where it differs from the event's schema: change what the client sends, or the schema"

/** It does not name the event: the client knows which one it is, and its name may be as long as a message. */
const NOBODY_HANDLES = { _tag: "EventUnhandled", message: "the server handles no event of this name" }

const noHandlers: HandlerRecord = {}

const noEvents: ReadonlyMap<string, EventCodec> = new Map()
