import type * as Tracer from "effect/Tracer"

/** The conventions by which spans are named. */
export type SpanNames = "effect" | "messaging"

/** The subject of a span: an event that is handled, or sent. */
export interface SpanSubject {
  readonly operation: "process" | "send"
  /** The event; empty if its name is not declared, as it may be any then. */
  readonly event: string
  readonly namespace: string
  /** The pattern of a dynamic namespace; the name of any other. */
  readonly label: string
  readonly sid: string | undefined
  /** Whether an acknowledgement is awaited. */
  readonly isAsked: boolean
}

/** The name, the kind and the attributes of a span. */
export interface NamedSpan {
  readonly name: string
  readonly kind: Tracer.SpanKind
  readonly attributes: Record<string, unknown>
}

/** The span of an event in the words of this library. */
const inOwnWords = ({ event, isAsked, namespace, operation, sid }: SpanSubject): NamedSpan => ({
  name: event === "" ? "socket.io event" : `socket.io ${event}`,
  kind: operation === "process" ? "server" : isAsked ? "client" : "producer",
  attributes: { "socketio.namespace": namespace, "socketio.event": event, "socketio.sid": sid }
})

/**
 * The span of an event by OpenTelemetry's conventions for messaging, which are in development. See
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
const byConvention = ({ event, isAsked, label, namespace, operation, sid }: SpanSubject): NamedSpan => ({
  name: `${operation} ${event === "" ? label : event}`,
  kind: operation === "process" ? (isAsked ? "server" : "consumer") : isAsked ? "client" : "producer",
  attributes: {
    "messaging.system": "socket.io",
    "messaging.operation.name": operation,
    "messaging.operation.type": operation,
    "messaging.destination.name": namespace,
    ...(label !== namespace && { "messaging.destination.template": label }),
    "messaging.client.id": sid,
    "socketio.event": event
  }
})

/** Names the span of an event. */
export const nameSpan = (names: SpanNames, subject: SpanSubject): NamedSpan =>
  names === "messaging" ? byConvention(subject) : inOwnWords(subject)
