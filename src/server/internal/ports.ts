import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { Acknowledgement, Adapter, BroadcastFlags, BroadcastPacket, Selection } from "../../adapter/Adapter.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { ConnectRefused } from "../../NamespaceMiddleware.ts"
import type { ServersMissingError } from "../../SocketIoError.ts"
import type { EventRefused, IncomingEvent } from "../ServerSocket.ts"
import type { Emission } from "./emissions.ts"
import type { Hub } from "./hub.ts"

// The shapes that several parts of the server share. A part that needs something of a part above it
// declares the shape of that, here or in its own file: imports go one way.

/** Starts an effect in a context that has all it needs. */
export type RunFork = (effect: Effect.Effect<any, any, any>) => Fiber.Fiber<any, any>

/**
 * Handlers by event, as a builder returns them: they take the payload, or the arguments of an
 * untyped event.
 */
export type HandlerRecord = Readonly<Record<string, (...args: ReadonlyArray<any>) => Effect.Effect<any, any, any>>>

/** A handler of any event, with the runner of the context in which it was registered. */
export interface EventHandler {
  readonly run: RunFork
  readonly handle: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<any, any, any>
}

/** A check that sees every event before its handlers do. */
export interface PacketMiddleware {
  readonly context: Context.Context<any>
  readonly check: (event: IncomingEvent) => Effect.Effect<unknown, EventRefused, any>
}

/**
 * Runs once per connected socket, in its scope; yields the handlers, as far as it returns them. A
 * refusal, as a defect, disconnects the socket: its client was told before that it is connected.
 */
export type Build = (socket: any) => Effect.Effect<HandlerRecord | void, ConnectRefused, any>

/** The refusal that a cause is, if it is nothing else. */
export const refusalOf = (cause: Cause.Cause<unknown>): ConnectRefused | undefined => {
  const failure = Cause.findErrorOption(cause)
  return failure._tag === "Some" && failure.value instanceof ConnectRefused && !Cause.hasDies(cause)
    ? failure.value
    : undefined
}

/** The events of a contract that are answered with streams: the server adds handlers for them. */
export interface StreamHandling {
  handlersOf(socket: any, handlers: HandlerRecord): HandlerRecord
  /** The layer has closed: all streams end. */
  close(): void
}

/** The admission and the builder of a namespace's sockets: the arguments of its layer. */
export interface Registration {
  readonly contract: CompiledContract
  readonly context: Context.Context<any>
  /** Builds the sockets. A dynamic namespace has none here: its own is made when it opens. */
  readonly build: Build | undefined
  readonly streams: StreamHandling | undefined
}

/** Encodes and decodes events, acknowledgements and data: by a contract, or as they are. */
export interface Encoding {
  /** Whether a contract declares the events. */
  readonly isDeclared: boolean
  /** Encodes an event's payload. Throws on a value that is not of the declared type. */
  packet(event: string, args: ReadonlyArray<unknown>): BroadcastPacket
  /** The arguments that stand for one value, which is what sinks and hubs take. */
  argumentsOf(value: unknown): ReadonlyArray<unknown>
  /** The value of a broadcast; `undefined` if the contract does not declare it. */
  received(emission: Emission): { readonly payload: unknown } | undefined
  /** Reads the arguments of an acknowledgement as its event declares them. */
  decodeAck(event: string, args: ReadonlyArray<unknown>): Effect.Effect<any, any>
  /** Reads a socket's data as the contract declares them. */
  decodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>
}

/** A namespace, as operators see it. */
export interface Broadcaster {
  /** Sends a packet. `emitted` are the values of which `encoding` has made it. */
  broadcast(
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags,
    encoding: Encoding,
    emitted: ReadonlyArray<unknown>
  ): Effect.Effect<void>
  broadcastWithAck(
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags,
    encoding: Encoding,
    emitted: ReadonlyArray<unknown>
  ): Stream.Stream<Acknowledgement, ServersMissingError>
  /** The event to broadcast. */
  readonly emissions: Hub<Emission>
  /** Encodes a packet without sending it: one that cannot be encoded is a bug of the caller. */
  check(packet: BroadcastPacket, flags: BroadcastFlags): Effect.Effect<void>
  /** Runs the adapter's effect, or returns `ofNobody` if the namespace is certainly empty. */
  ask<A, E>(ofNobody: A, question: (adapter: Adapter) => Effect.Effect<A, E>): Effect.Effect<A, E>
}

/** Leads to a namespace: the namespace itself, or the name of one that comes and goes. */
export interface Reference<N> {
  readonly name: string
  /** The namespace, if it is there. */
  readonly current: N | undefined
  /** Does something with the namespace, which is there meanwhile. */
  use<A, E, R>(act: (namespace: N) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
  /** The same for a stream. */
  stream<A, E, R>(read: (namespace: N) => Stream.Stream<A, E, R>): Stream.Stream<A, E, R>
  /** The same for a stream of the namespace's own news, from now on. */
  watch<A, E>(read: (namespace: N) => Stream.Stream<A, E>): Stream.Stream<A, E>
  /** The namespace, which is there until the scope closes. */
  readonly scoped: Effect.Effect<N, never, Scope.Scope>
}

/** The namespace to which an operator sends, and how the operator's events are encoded. */
export interface Target {
  readonly encoding: Encoding
  readonly namespace: Reference<Broadcaster>
}
