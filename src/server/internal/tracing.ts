import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"

import type { BroadcastPacket } from "../../adapter/Adapter.ts"
import { attributesOf, withAttributes } from "../../internal/attributes.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { EventCodec } from "../../internal/contractCodec.ts"
import { nameSpan } from "../../internal/spanNames.ts"
import * as TraceContext from "../../TraceContext.ts"
import type { ResolvedTracingOptions } from "../TracingOptions.ts"
import type { Encoding } from "./ports.ts"

/** A namespace, as its spans name it. */
interface TracedNamespace {
  readonly name: string
  readonly label: string
}

/** A connection, as its spans see it. */
interface TracedConnection {
  readonly session: { readonly details: { readonly headers: Readonly<Record<string, string | undefined>> } }
}

/** The socket that an event is for. */
interface TracedSocket {
  readonly id: string
  readonly namespace: TracedNamespace
  readonly connection: TracedConnection
}

/** Makes the effect that handles an event. */
type Handle = () => Effect.Effect<any, any, any>

/** The spans of a server. There are none where spans are off. */
export class Tracing {
  private readonly options: ResolvedTracingOptions
  /** The links to the spans that have opened connections: an idle connection has none. */
  private readonly openings = new WeakMap<TracedConnection, ReadonlyArray<Tracer.SpanLink>>()

  constructor(options: ResolvedTracingOptions) {
    this.options = options
  }

  /** Runs the handler of a declared event in a span of its own. The event is `[name, ...args]`. */
  ofDeclared(
    make: Handle,
    socket: TracedSocket,
    codec: EventCodec,
    data: ReadonlyArray<unknown>,
    id: number | undefined
  ): Handle {
    const isBare = this.options.trust === "none" || data.length <= 1 + codec.length
    const remote = isBare ? undefined : TraceContext.toSpan(attributesOf(codec, data))
    return () => this.inSpan(Effect.suspend(make), socket, codec.event._tag, id !== undefined, remote)
  }

  /** The same for an event that no contract declares: nobody knows where its arguments end. */
  ofUndeclared(make: Handle, socket: TracedSocket, id: number | undefined): Handle {
    // Its name is not in the span, because the client has chosen it.
    return () => this.inSpan(Effect.suspend(make), socket, "", id !== undefined, undefined)
  }

  /** Runs a handler of another server's event in a span of its own. */
  ofServerEvent(
    handled: Effect.Effect<any, any, any>,
    { label, name: named }: TracedNamespace,
    event: string,
    isAsked: boolean,
    trace: TraceContext.TraceContext | undefined
  ): Effect.Effect<any, any, any> {
    const subject = { operation: "process", event, namespace: named, label, sid: undefined, isAsked } as const
    const { name, ...options } = nameSpan(this.options.names, subject)
    const remote = trace && TraceContext.toSpan(trace)
    if (remote === undefined) return Effect.withSpan(handled, name, { ...options, root: true })
    // As with clients, an answer belongs to its question's trace. Everything else goes to many.
    if (isAsked) return Effect.withSpan(handled, name, { ...options, parent: remote })
    return Effect.withSpan(handled, name, { ...options, links: [linkTo(remote)], root: true })
  }

  private inSpan(
    handled: Effect.Effect<any, any, any>,
    { connection, id, namespace }: TracedSocket,
    event: string,
    isAsked: boolean,
    remote: Tracer.ExternalSpan | undefined
  ): Effect.Effect<any, any, any> {
    const { names, trust } = this.options
    const { label, name: named } = namespace
    const subject = { operation: "process", event, namespace: named, label, sid: id, isAsked } as const
    const { name, ...options } = nameSpan(names, subject)
    const opening = this.openingOf(connection)
    if (remote === undefined) return Effect.withSpan(handled, name, { ...options, links: opening, root: true })
    if (trust === "parent") return Effect.withSpan(handled, name, { ...options, links: opening, parent: remote })
    return Effect.withSpan(handled, name, { ...options, links: [...opening, linkTo(remote)], root: true })
  }

  /** The link to the span that opened a connection. The connection's events have another trace. */
  private openingOf(connection: TracedConnection): ReadonlyArray<Tracer.SpanLink> {
    if (this.options.trust === "none") return noLinks
    let links = this.openings.get(connection)
    if (links === undefined) {
      const span = TraceContext.toSpan(connection.session.details.headers)
      links = span?.sampled === true ? [linkTo(span)] : noLinks
      this.openings.set(connection, links)
    }
    return links
  }
}

const noLinks: ReadonlyArray<Tracer.SpanLink> = []

const linkTo = (span: Tracer.AnySpan): Tracer.SpanLink => ({ span, attributes: {} })

/** Sends with the trace context of the emitting fiber's span, if there is one. */
export const traced = <A, E, R>(
  send: (trace: TraceContext.TraceContext | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => Effect.withFiber((fiber) => send(TraceContext.ofFiber(fiber)))

/** Encodes an event, with the trace context of its emitter. */
export const packetOf = (
  encoding: Encoding,
  event: string,
  args: ReadonlyArray<unknown>,
  trace: TraceContext.TraceContext | undefined
): BroadcastPacket => {
  const packet = encoding.packet(event, args)
  return trace === undefined ? packet : { ...packet, trace }
}

/**
 * Returns the packet with its trace context among the arguments, for clients that take it. Returns
 * `undefined` if the contract here does not say where it belongs.
 */
export const withTrace = <P extends Pick<BroadcastPacket, "data" | "trace">>(
  packet: P,
  contract: CompiledContract | undefined
): P | undefined => {
  const { data, trace } = packet
  if (trace === undefined) return undefined
  const codec = contract?.outgoing.get(data[0])
  if (codec === undefined || data.length > 1 + codec.length) return undefined
  return { ...packet, data: withAttributes(codec, data, trace) }
}
