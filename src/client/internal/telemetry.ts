import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Tracer from "effect/Tracer"

import type { EngineClientRuntime } from "../../engine/EngineClient.ts"
import { attributesOf, withAttributes } from "../../internal/attributes.ts"
import type { ClientWire } from "../../internal/clientWire.ts"
import { nameSpan, type SpanNames } from "../../internal/spanNames.ts"
import { lengthOf, readPlaces, type TracePlaces } from "../../internal/tracePlaces.ts"
import { WireData } from "../../internal/wireData.ts"
import { AckError } from "../../SocketIoError.ts"
import * as TraceContext from "../../TraceContext.ts"
import * as Metrics from "../ClientMetrics.ts"
import type { SocketStatus } from "../ClientSocket.ts"
import type { Extend, Received, Target } from "./connection.ts"
import { asking, type Greeting, greetingOf } from "./greetings.ts"
import { scoped } from "./scoped.ts"

type Arguments = ReadonlyArray<unknown>

type Handler = (...args: Array<any>) => Effect.Effect<any, any, any>

/** The part of a socket's face that is observed. */
interface Face {
  readonly emit: (event: string, ...args: Arguments) => Effect.Effect<void>
  readonly emitWithAck: (event: string, ...args: Arguments) => Effect.Effect<any, any>
  readonly volatile: Face
  readonly compress: (compress: boolean) => Face
  readonly respond: (event: string, handler: Handler) => Effect.Effect<void, never, any>
}

/** An event whose readers are being called. */
interface Heard {
  readonly event: string
  readonly payload: unknown
  readonly span: Tracer.ExternalSpan
  /** Whether the server awaits an acknowledgement. */
  readonly isAsked: boolean
}

type EventAttributes = Readonly<Record<"namespace" | "event", string>>

interface Options {
  readonly tracing?: boolean
  readonly names?: SpanNames
}

/** The parts of telemetry that the sockets of a client share. */
interface Shared {
  readonly series: Series
  /** The names of spans; `undefined` if there are none. */
  readonly names: SpanNames | undefined
  /** Provides the tracer of the telemetry, unless there is another one. */
  readonly withTracer: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly runFork: (effect: Effect.Effect<unknown>) => void
}

/** The series of metrics, each made at its first use. */
class Series {
  private readonly context: Context.Context<never>
  private readonly series = new Map<string, Metric.Metric<any, any>>()

  constructor(context: Context.Context<never>) {
    this.context = context
  }

  update(metric: Metric.Metric<any, any>, value: number, attributes: Readonly<Record<string, string>>): void {
    this.of(metric, attributes).updateUnsafe(value, this.context)
  }

  add(metric: Metric.Gauge<number>, value: number, attributes: Readonly<Record<string, string>>): void {
    this.of(metric, attributes).modifyUnsafe(value, this.context)
  }

  private of(metric: Metric.Metric<any, any>, attributes: Readonly<Record<string, string>>): Metric.Metric<any, any> {
    const key = [metric.id, ...Object.values(attributes)].join("\0")
    let series = this.series.get(key)
    if (series === undefined) this.series.set(key, (series = Metric.withAttributes(metric, attributes)))
    return series
  }
}

/**
 * Observes a client, with the tracer and the metrics of its context. Sockets with telemetry show
 * another face.
 */
export const observing =
  ({ names = "effect", tracing }: Options): Extend =>
  (parts, { runtime }) => {
    const { context, runFork } = runtime
    const isTraced = tracing ?? context.mapUnsafe.has(Tracer.TracerKey)
    const tracer = Context.get(context, Tracer.Tracer)
    const shared: Shared = {
      series: new Series(context),
      names: isTraced ? names : undefined,
      withTracer: (effect) =>
        Effect.withFiber(({ cache }) =>
          cache.tracer === undefined ? Effect.provideService(effect, Tracer.Tracer, tracer) : effect
        ),
      runFork
    }
    return {
      ...parts,
      dial: isTraced ? (sink, fx = "0") => parts.dial(sink, `${fx}.trace`) : asking(parts),
      target: (target) => parts.target(observe(target, new ObservedSocket(target, runtime, shared)))
    }
  }

/** The target of a socket that is observed. */
const observe = (target: Target, observer: ObservedSocket): Target => ({
  ...target,
  wire: observer.wire,
  onStatus: (next) => {
    const status = target.onStatus?.(next) ?? next
    observer.onStatus(status)
    return status
  },
  onEvent: (packet) => observer.onEvent(target.onEvent?.(packet) ?? packet),
  decorate: (socket, connection) => {
    const observed = {
      ...socket,
      socket: observer.face(socket.socket as Face),
      onPacket: (packet: Received) => {
        const greeting = greetingOf(packet)
        if (greeting) observer.onGreeting(greeting)
        socket.onPacket(packet)
      }
    }
    return target.decorate?.(observed, connection) ?? observed
  }
})

class ObservedSocket {
  readonly wire: ClientWire | undefined
  private readonly observed: Target
  private readonly runtime: EngineClientRuntime
  private readonly shared: Shared
  private readonly series: Series
  private readonly names: SpanNames | undefined
  private readonly label: string
  private id: string | undefined
  /** The places of trace contexts, if the server takes them. */
  private places: TracePlaces | undefined
  /** The events for which the server awaits an acknowledgement, as long as they are there. */
  private readonly asked = new WeakSet<object>()
  /** The events that have handlers, and their number. */
  private readonly handled = new Map<string, number>()
  private heard: Heard | undefined

  constructor(observed: Target, runtime: EngineClientRuntime, shared: Shared) {
    const { namespace, of, wire } = observed
    this.observed = observed
    this.runtime = runtime
    this.shared = shared
    this.series = shared.series
    this.names = shared.names
    this.label = typeof of === "string" ? namespace : String((of as { readonly _tag: unknown })._tag)
    this.wire = wire && { ...wire, decode: (...event) => this.decode(wire, ...event) }
  }

  onGreeting({ trace }: Greeting): void {
    this.places = readPlaces(trace)
  }

  onStatus(status: SocketStatus): void {
    const { label: namespace, series } = this
    if (this.id !== undefined) series.add(Metrics.sockets, -1, { namespace })
    this.id = undefined
    if (status._tag === "Connected") {
      this.id = status.id
      series.add(Metrics.sockets, 1, { namespace })
      return series.update(Metrics.connects, 1, { namespace })
    }
    this.places = undefined
    if (status._tag === "Disconnected") series.update(Metrics.disconnects, 1, { namespace, reason: status.reason })
    if (status._tag === "Failed") {
      const { reason } = status.error
      const why = reason._tag === "Disconnected" ? reason.reason : "refused"
      series.update(Metrics.connectFailures, 1, { namespace, reason: why })
    }
  }

  onEvent(packet: Received): Received {
    const data = packet.data as Arguments
    const name = String(data[0])
    const codec = this.observed.wire?.serverCodec(name)
    this.series.update(Metrics.eventsReceived, 1, this.ofServer(name))
    if (this.names === undefined) return packet
    if (packet.id !== undefined) this.asked.add(data)
    const place = this.places && 1 + lengthOf(this.places.out, name)
    if (place === undefined || place === 1 + (codec?.length ?? Number.NaN) || !isTrace(data[place])) return packet
    // This side has another contract, or none: it would take the trace context for an argument.
    return { ...packet, data: data.filter((_, i) => i !== place) }
  }

  face(socket: Face): object {
    const respond: Face["respond"] = (event, handler) =>
      Effect.andThen(
        scoped(() => this.counting(event)),
        socket.respond(event, (...args) => this.handling(event, () => handler(...args), args[0]))
      )
    const own = Object.getOwnPropertyDescriptors({ ...this.emitter(socket), respond })
    return Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(socket), ...own, ...this.flags(socket) })
  }

  // -------------------------------------------------------------- out

  private flags(base: Face): PropertyDescriptorMap {
    const emitter = (flagged: Face) => Object.defineProperties(this.emitter(flagged), this.flags(flagged))
    return {
      volatile: { get: () => emitter(base.volatile), enumerable: true },
      compress: { value: (compress: boolean) => emitter(base.compress(compress)), enumerable: true }
    }
  }

  private emitter(base: Face): Pick<Face, "emit" | "emitWithAck"> {
    return {
      emit: (event, ...args) => this.sending(event, args, false, (args) => base.emit(event, ...args)),
      emitWithAck: (event, ...args) =>
        Effect.suspend(() => {
          const end = this.timing(Metrics.ackDuration, this.ofClient(event))
          const answered = this.sending(event, args, true, (args) => base.emitWithAck(event, ...args))
          return Effect.onExit(answered, (exit) => Effect.sync(() => this.onAnswered(event, exit, end)))
        })
    }
  }

  private onAnswered(event: string, exit: Exit.Exit<unknown, unknown>, end: () => void): void {
    end()
    if (Exit.isSuccess(exit)) return
    for (const reason of exit.cause.reasons) {
      if (reason._tag !== "Fail" || !(reason.error instanceof AckError)) continue
      const attributes = { ...this.ofClient(event), reason: reason.error.reason._tag }
      this.series.update(Metrics.ackFailures, 1, attributes)
    }
  }

  /** Sends an event: in a span of its own, if the fiber is in one that is sampled. */
  private sending<A, E>(
    event: string,
    args: Arguments,
    isAsked: boolean,
    send: (args: Arguments) => Effect.Effect<A, E>
  ): Effect.Effect<A, E> {
    return Effect.withFiber((fiber) => {
      this.series.update(Metrics.eventsSent, 1, this.ofClient(event))
      if (this.names === undefined || TraceContext.ofFiber(fiber) === undefined) return send(args)
      const { name, ...options } = this.named(this.names, "send", event, isAsked)
      return Effect.useSpan(name, options, (span) => send(this.withContext(event, args, span)))
    })
  }

  /** The arguments with a trace context after them, if the server takes it. */
  private withContext(event: string, args: Arguments, span: Tracer.Span): Arguments {
    const { wire } = this.observed
    const codec = wire?.codec(event)
    const { places } = this
    // A server with another contract might take the trace context for an argument.
    if (places === undefined || codec === undefined || lengthOf(places.in, event) !== codec.length) return args
    const context = TraceContext.ofSpan(span)
    if (context === undefined) return args
    try {
      return [new WireData(withAttributes(codec, wire!.encode(event, ...args)[0], context))]
    } catch {
      // The socket refuses it, too, in its own way.
      return args
    }
  }

  // -------------------------------------------------------------- in

  /** Decodes an event for its readers, who are called right after that. */
  private decode(
    wire: ClientWire,
    namespace: string,
    event: string,
    data: Arguments,
    onRefused: Parameters<ClientWire["decode"]>[3]
  ): ReturnType<ClientWire["decode"]> {
    this.heard = undefined
    const taken = wire.decode(namespace, event, data, (...refusal) => {
      this.series.update(Metrics.payloadsRefused, 1, { namespace: this.label, event })
      onRefused(...refusal)
    })
    const codec = wire.serverCodec(event)
    if (taken === undefined || codec === undefined || this.names === undefined) return taken
    if (data.length <= 1 + codec.length) return taken
    const span = TraceContext.toSpan(attributesOf(codec, data))
    if (span === undefined) return taken
    const heard = { event, payload: taken[0], span, isAsked: this.asked.has(data) }
    // Streams take it later. The span says that it has come.
    if (!this.handled.has(event)) this.shared.runFork(this.inSpan(this.names, Effect.void, event, heard))
    else this.heard = heard
    return taken
  }

  private counting(event: string): () => void {
    const { handled } = this
    handled.set(event, (handled.get(event) ?? 0) + 1)
    return () => {
      const left = handled.get(event)! - 1
      if (left === 0) handled.delete(event)
      else handled.set(event, left)
    }
  }

  private handling(event: string, handler: () => Effect.Effect<any, any, any>, payload: unknown): ReturnType<Handler> {
    const { heard, names } = this
    const end = this.timing(Metrics.handlerDuration, this.ofServer(event))
    const handled = Effect.suspend(handler)
    // Another event may have come within an earlier handler of this one.
    const cause = heard?.event === event && heard.payload === payload ? heard : undefined
    const effect = names === undefined ? handled : this.shared.withTracer(this.inSpan(names, handled, event, cause))
    return Effect.onExit(effect, (exit) =>
      Effect.sync(() => {
        end()
        if (Exit.isSuccess(exit) || exit.cause.reasons.every(({ _tag }) => _tag === "Interrupt")) return
        this.series.update(Metrics.handlerFailures, 1, this.ofServer(event))
      })
    )
  }

  /** Runs an effect in the span of an event of the server. */
  private inSpan<A, E, R>(
    names: SpanNames,
    effect: Effect.Effect<A, E, R>,
    event: string,
    heard: Heard | undefined
  ): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> {
    const { name, ...options } = this.named(names, "process", event, heard?.isAsked === true)
    if (heard === undefined) return Effect.withSpan(effect, name, { ...options, root: true })
    // An answer belongs to the trace of its question. Everything else goes to many.
    if (heard.isAsked) return Effect.withSpan(effect, name, { ...options, parent: heard.span })
    return Effect.withSpan(effect, name, { ...options, root: true, links: [{ span: heard.span, attributes: {} }] })
  }

  private named(names: SpanNames, operation: "process" | "send", event: string, isAsked: boolean) {
    const { id: sid, label, observed } = this
    return nameSpan(names, { operation, event, namespace: observed.namespace, label, sid, isAsked })
  }

  // Without a contract there may be any number of names.

  /** The attributes of metrics about an event of this side. */
  private ofClient(event: string): EventAttributes {
    return { namespace: this.label, event: this.observed.wire?.codec(event) === undefined ? "" : event }
  }

  /** The same about an event of the server. */
  private ofServer(event: string): EventAttributes {
    return { namespace: this.label, event: this.observed.wire?.serverCodec(event) === undefined ? "" : event }
  }

  /** Gives the function that records the time from now on. */
  private timing(metric: Metric.Histogram<number>, attributes: EventAttributes): () => void {
    const { runtime, series } = this
    const started = runtime.now()
    return () => series.update(metric, (runtime.now() - started) / 1_000, attributes)
  }
}

/** Whether a value is a trace context, and nothing else. */
const isTrace = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null) return false
  const { traceparent, ...others } = value as Readonly<Record<string, unknown>>
  if (typeof traceparent !== "string" || TraceContext.toSpan({ traceparent }) === undefined) return false
  return Object.keys(others).every((name) => name === "tracestate")
}
